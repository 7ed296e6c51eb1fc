// Actions: create, update, read, list, invoke, delete; and the activations of them.
import assert from "node:assert/strict"
import { record, refused } from "../expect.mjs"

const hello = "function main({name}) { console.log('called for', name); return {hello: name || 'nobody'} }"

export default function (step, { ow }) {
  step("create", async () => {
    const action = await ow.actions.create({
      name: "hello", action: hello,
      params: { greeting: "hi" }, annotations: { note: { a: [1] } }, limits: { timeout: 5000 },
    })
    assert.equal(action.version, "0.0.1")
    assert.match(action.exec.kind, /^nodejs:\d+$/)
    assert.equal(action.limits.timeout, 5000)
    assert.deepEqual(action.parameters, [{ key: "greeting", value: "hi" }])
  })

  step("create again is refused", async () => {
    const e = await refused(ow.actions.create({ name: "hello", action: hello }), 409)
    assert.equal(e.error.error, "resource already exists")
  })

  step("update", async () => {
    const action = await ow.actions.update({ name: "hello", action: hello, params: {} })
    assert.equal(action.version, "0.0.2")
  })

  step("get", async () => {
    assert.equal((await ow.actions.get("hello")).exec.code, hello)
    assert.equal((await ow.actions.get({ name: "hello", code: false })).exec.code, undefined)
  })

  step("list", async () => {
    await ow.actions.create({ name: "second", kind: "python:default", action: "def main(args):\n    return {'python': args}\n" })
    const names = (await ow.actions.list()).map(action => action.name)
    assert.deepEqual(names, ["second", "hello"])
    assert.deepEqual((await ow.actions.list({ limit: 1, skip: 1 })).map(action => action.name), ["hello"])
    assert.equal((await ow.actions.list({ count: true })).actions, 2)
  })

  step("invoke, blocking", async () => {
    const activation = await ow.actions.invoke({ name: "hello", params: { name: "Ada" }, blocking: true })
    assert.equal(activation.response.status, "success")
    assert.deepEqual(activation.response.result, { hello: "Ada" })
  })

  step("invoke, for the result", async () => {
    assert.deepEqual(await ow.actions.invoke({ name: "hello", params: { name: "Bob" }, blocking: true, result: true }), { hello: "Bob" })
    assert.deepEqual(await ow.actions.invoke({ name: "second", params: { n: 1 }, blocking: true, result: true }), { python: { n: 1 } })
  })

  step("invoke, not blocking; activations", async () => {
    const { activationId } = await ow.actions.invoke({ name: "hello", params: { name: "Cid" } })
    assert.match(activationId, /^[0-9a-f]{32}$/)
    const activation = await record(ow, activationId)
    assert.equal(activation.name, "hello")
    assert.equal(activation.version, "0.0.2")
    assert.match(activation.logs[0], / stdout: called for Cid$/)
    assert.deepEqual((await ow.activations.result(activationId)).result, { hello: "Cid" })
    assert.equal((await ow.activations.logs(activationId)).logs.length, 1)
    const [newest] = await ow.activations.list({ name: "hello", limit: 1 })
    assert.equal(newest.activationId, activationId)
    assert.equal(newest.statusCode, 0)
    assert.ok((await ow.activations.list({ since: activation.start, docs: true })).some(one => one.activationId === activationId && one.response))
  })

  step("invoke several at once", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `caller ${i}`)
    const results = await Promise.all(names.map(name => ow.actions.invoke({ name: "hello", params: { name }, blocking: true, result: true })))
    assert.deepEqual(results, names.map(name => ({ hello: name })))
  })

  step("application error", async () => {
    await ow.actions.create({ name: "fails", action: "function main() { return {error: 'boom'} }" })
    const e = await refused(ow.actions.invoke({ name: "fails", blocking: true }), 502)
    assert.equal(e.error.response.status, "application error")
    assert.deepEqual(e.error.response.result, { error: "boom" })
  })

  step("zip from a buffer", async () => {
    const zip = Buffer.from(process.env.ZIP, "base64")
    await ow.actions.create({ name: "zipped", action: zip })
    assert.deepEqual(await ow.actions.invoke({ name: "zipped", params: { x: 1 }, blocking: true, result: true }), { zip: true, x: 1 })
  })

  step("delete", async () => {
    for (const name of ["hello", "second", "fails", "zipped"]) {
      assert.equal((await ow.actions.delete(name)).name, name)
    }
    assert.deepEqual(await ow.actions.list(), [])
  })
}
