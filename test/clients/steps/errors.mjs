// What is refused, with which status and text.
import assert from "node:assert/strict"
import openwhisk from "openwhisk"
import { refused } from "../expect.mjs"

const echo = "function main(args) { return args }"

export default function (step, { ow, namespace }) {
  step("what is not there", async () => {
    for (const missing of [
      () => ow.actions.get("hello"), () => ow.actions.delete("hello"), () => ow.actions.invoke("hello"),
      () => ow.triggers.get("hello"), () => ow.triggers.invoke("hello"), () => ow.rules.get("hello"),
      () => ow.rules.disable({ name: "hello" }), () => ow.activations.get("0".repeat(32)), () => ow.activations.logs("0".repeat(32)),
    ]) {
      const e = await refused(missing(), 404)
      assert.equal(e.error.error, "The requested resource does not exist.")
      assert.ok(e.error.code)
    }
  })

  step("wrong credentials", async () => {
    const stranger = openwhisk({ api_key: `${"0".repeat(36)}:${"x".repeat(64)}` })
    await refused(stranger.actions.list(), 401)
    await refused(stranger.triggers.invoke("hello"), 401)
  })

  step("another namespace", async () => {
    for (const foreign of [
      () => ow.actions.list({ namespace: "guest" }), () => ow.actions.create({ name: "/guest/hello", action: echo }),
      () => ow.triggers.create({ name: "/guest/hello" }), () => ow.packages.get("/guest/hello"), () => ow.actions.invoke("/guest/tools/hello"),
    ]) {
      const e = await refused(foreign(), 403)
      assert.match(e.error.error, /^The supplied authentication is not authorized to access 'guest/)
    }
    assert.deepEqual(await ow.packages.list({ namespace: "guest" }), [])
  })

  step("what cannot be", async () => {
    const name = await refused(ow.actions.create({ name: "a!b", action: echo }), 400)
    assert.equal(name.error.error, "The name of the entity contains illegal characters.")
    await refused(ow.actions.create({ name: "hello", kind: "cobol:85", action: echo }), 400)
    await refused(ow.actions.create({ name: "hello", action: echo, limits: { timeout: 1 } }), 400)
    await refused(ow.actions.list({ limit: 1000 }), 400)
    await refused(ow.activations.get("1234"), 400)
  })

  step("one name, two collections", async () => {
    await ow.actions.create({ name: "hello", action: echo })
    for (const other of [() => ow.triggers.create({ name: "hello" }), () => ow.packages.get("hello"), () => ow.rules.get("hello")]) {
      const e = await refused(other(), 409)
      assert.equal(e.error.error, "Resource by this name exists but is not in this collection.")
    }
  })

  step("too large", async () => {
    const large = "x".repeat(1024 * 1024)
    await refused(ow.actions.invoke({ name: "hello", params: { large } }), 413)
    await refused(ow.actions.create({ name: "larger", action: echo, params: { large } }), 413)
  })

  step("code that does not run", async () => {
    await ow.actions.update({ name: "hello", action: "function main() { throw new Error('oops') }" })
    const thrown = await refused(ow.actions.invoke({ name: "hello", blocking: true }), 502)
    assert.equal(thrown.error.response.success, false)
    await ow.actions.update({ name: "hello", action: "this is not JavaScript" })
    const broken = await refused(ow.actions.invoke({ name: "hello", blocking: true }), 502)
    assert.equal(broken.error.response.status, "action developer error")
    await ow.actions.delete("hello")
    assert.equal((await ow.namespaces.list())[0], namespace)
  })
}
