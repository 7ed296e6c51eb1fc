// Packages and bindings: create, update, read, list, delete; whose parameters win.
import assert from "node:assert/strict"
import { annotation, parameters, record, refused } from "../expect.mjs"

const echo = "function main(args) { return args }"

export default function (step, { ow, namespace }) {
  step("create", async () => {
    const created = await ow.packages.create({
      name: "tools",
      package: { parameters: [{ key: "from", value: "package" }, { key: "unit", value: "cm" }], annotations: [{ key: "note", value: [1] }] },
    })
    assert.equal(created.version, "0.0.1")
    assert.equal(created.publish, false)
    assert.deepEqual(created.binding, {})
    assert.deepEqual(annotation(created, "note"), [1])
    await refused(ow.packages.create({ name: "tools" }), 409)
    const reserved = await refused(ow.packages.create({ name: "default" }), 400)
    assert.equal(reserved.error.error, "Package name 'default' is reserved.")
  })

  step("actions in it", async () => {
    await ow.actions.create({ name: "tools/echo", action: echo, params: { own: true }, annotations: { description: "says it again" } })
    await ow.actions.create({ name: "tools/source", action: echo, annotations: { feed: true } })
    const tools = await ow.packages.get("tools")
    assert.deepEqual(tools.actions.map(one => one.name), ["echo"])
    assert.deepEqual(tools.feeds.map(one => one.name), ["source"])
    assert.equal(annotation(tools.actions[0], "description"), "says it again")
    assert.equal((await ow.actions.get("tools/echo")).namespace, `${namespace}/tools`)
    assert.deepEqual(
      await ow.actions.invoke({ name: "tools/echo", params: { asked: 1 }, blocking: true, result: true }),
      { from: "package", unit: "cm", own: true, asked: 1 },
    )
  })

  step("update", async () => {
    const updated = await ow.packages.update({ name: "tools", package: { publish: true, parameters: [{ key: "from", value: "updated" }] } })
    assert.equal(updated.version, "0.0.2")
    assert.equal(updated.publish, true)
    assert.deepEqual(parameters(updated), { from: "updated" })
    assert.deepEqual(annotation(updated, "note"), [1], "annotations that were not sent are kept")
  })

  step("bind", async () => {
    const bound = await ow.packages.create({
      name: "bound",
      package: { binding: { namespace: "_", name: "tools" }, parameters: [{ key: "unit", value: "inch" }] },
    })
    assert.deepEqual(bound.binding, { namespace, name: "tools" })
    const read = await ow.packages.get("bound")
    assert.deepEqual(read.actions.map(one => one.name), ["echo"])
    assert.deepEqual(parameters(read), { from: "updated", unit: "inch" })
    assert.deepEqual(
      await ow.actions.invoke({ name: "bound/echo", params: {}, blocking: true, result: true }),
      { from: "updated", unit: "inch", own: true },
    )
    const missing = await refused(ow.packages.create({ name: "broken", package: { binding: { namespace: "_", name: "nowhere" } } }), 400)
    assert.equal(missing.error.error, "Binding references a package that does not exist.")
    const twice = await refused(ow.packages.create({ name: "broken", package: { binding: { namespace: "_", name: "bound" } } }), 400)
    assert.equal(twice.error.error, "Cannot bind to another package binding.")
  })

  step("activations of a packaged action", async () => {
    const { activationId } = await ow.actions.invoke({ name: "bound/echo", blocking: true })
    const one = await record(ow, activationId)
    assert.equal(annotation(one, "path"), `${namespace}/tools/echo`)
    assert.equal(annotation(one, "binding"), `${namespace}/bound`)
    assert.deepEqual((await ow.activations.list({ name: "bound/echo", limit: 1 })).map(found => found.activationId), [activationId])
  })

  step("list", async () => {
    assert.deepEqual((await ow.packages.list()).map(one => one.name), ["bound", "tools"])
    assert.deepEqual((await ow.packages.list({ skip: 1, limit: 1 })).map(one => one.name), ["tools"])
    assert.equal((await ow.packages.list({ count: true })).packages, 2)
    const listed = (await ow.packages.list()).map(one => one.binding)
    assert.deepEqual(listed, [{ namespace, name: "tools" }, false])
    assert.deepEqual((await ow.actions.list()).map(one => `${one.namespace}/${one.name}`), [`${namespace}/tools/source`, `${namespace}/tools/echo`])
  })

  step("delete", async () => {
    const full = await refused(ow.packages.delete("tools"), 409)
    assert.equal(full.error.error, "Package not empty (contains 2 entities). Set force param or delete package contents.")
    await ow.packages.delete("bound")
    await ow.actions.delete("tools/echo")
    await ow.actions.delete("tools/source")
    assert.equal((await ow.packages.delete("tools")).name, "tools")
    assert.deepEqual(await ow.packages.list(), [])
    await refused(ow.packages.get("tools"), 404)
  })
}
