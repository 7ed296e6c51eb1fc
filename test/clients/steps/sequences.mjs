// Sequences: create, invoke, their records and those of their components, failures.
import assert from "node:assert/strict"
import { annotation, record, refused } from "../expect.mjs"

export default function (step, { ow, namespace }) {
  step("create", async () => {
    await ow.actions.create({ name: "split", action: "function main({text}) { return {words: text.split(' ')} }", params: { text: "by default" } })
    await ow.actions.create({ name: "count", kind: "python:default", action: "def main(args):\n    return {'count': len(args['words'])}\n" })
    const sequence = await ow.actions.create({ name: "words", sequence: ["/_/split", `/${namespace}/count`] })
    assert.equal(sequence.exec.kind, "sequence")
    assert.deepEqual(sequence.exec.components, [`/${namespace}/split`, `/${namespace}/count`])
    assert.equal(annotation(sequence, "exec"), "sequence")
    const missing = await refused(ow.actions.create({ name: "broken", sequence: ["/_/split", "/_/nowhere"] }), 400)
    assert.equal(missing.error.error, "Sequence component does not exist.")
  })

  step("invoke", async () => {
    assert.deepEqual(await ow.actions.invoke({ name: "words", params: { text: "one two three" }, blocking: true, result: true }), { count: 3 })
    assert.deepEqual(await ow.actions.invoke({ name: "words", blocking: true, result: true }), { count: 2 })
  })

  step("records", async () => {
    const { activationId } = await ow.actions.invoke({ name: "words", params: { text: "a b" } })
    const sequence = await record(ow, activationId)
    assert.deepEqual(sequence.response.result, { count: 2 })
    assert.equal(annotation(sequence, "kind"), "sequence")
    assert.equal(annotation(sequence, "topmost"), true)
    assert.equal(sequence.cause, undefined)
    assert.equal(sequence.logs.length, 2)
    const components = await Promise.all(sequence.logs.map(id => record(ow, id)))
    assert.deepEqual(components.map(one => one.name), ["split", "count"])
    for (const component of components) {
      assert.equal(component.cause, activationId)
      assert.equal(annotation(component, "causedBy"), "sequence")
    }
    assert.equal(sequence.duration, components[0].duration + components[1].duration)
    assert.deepEqual((await ow.activations.logs(activationId)).logs, sequence.logs)
    assert.deepEqual((await ow.activations.result(activationId)).result, { count: 2 })
    assert.equal((await ow.activations.list({ name: "words", limit: 1 }))[0].activationId, activationId)
  })

  step("a sequence in a sequence", async () => {
    await ow.actions.create({ name: "double", action: "function main({count}) { return {count: 2 * count} }" })
    await ow.actions.create({ name: "twice", sequence: ["/_/words", "/_/double"] })
    const done = await ow.actions.invoke({ name: "twice", params: { text: "x y z" }, blocking: true })
    assert.deepEqual(done.response.result, { count: 6 })
    const outer = await record(ow, done.activationId)
    const inner = await record(ow, outer.logs[0])
    assert.equal(inner.name, "words")
    assert.equal(annotation(inner, "topmost"), false)
    const loop = await refused(ow.actions.update({ name: "words", sequence: ["/_/twice"] }), 400)
    assert.equal(loop.error.error, "Sequence may not refer to itself.")
  })

  step("an error ends it", async () => {
    await ow.actions.create({ name: "fails", action: "function main() { return {error: 'boom'} }" })
    await ow.actions.create({ name: "broken", sequence: ["/_/split", "/_/fails", "/_/count"] })
    const e = await refused(ow.actions.invoke({ name: "broken", blocking: true }), 502)
    assert.equal(e.error.response.status, "application error")
    assert.deepEqual(e.error.response.result, { error: "boom" })
    const sequence = await record(ow, e.error.activationId)
    assert.equal(sequence.logs.length, 2, "count did not run")
  })

  step("delete", async () => {
    await ow.actions.delete("count")
    const e = await refused(ow.actions.invoke({ name: "words", blocking: true }), 502)
    assert.deepEqual(e.error.response.result, { error: "Sequence component does not exist." })
    await ow.actions.delete(["broken", "twice", "words", "double", "split", "fails"])
    assert.deepEqual(await ow.actions.list(), [])
  })
}
