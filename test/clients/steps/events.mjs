// Triggers, rules and feeds.
import assert from "node:assert/strict"
import { annotation, eventually, parameters, record, refused } from "../expect.mjs"

const echo = "function main(args) { return args }"

export default function (step, { ow, namespace, key }) {
  step("create triggers", async () => {
    const trigger = await ow.triggers.create({
      name: "arrivals", trigger: { parameters: [{ key: "place", value: "door" }, { key: "loud", value: false }], annotations: [{ key: "note", value: { a: 1 } }] },
    })
    assert.equal(trigger.version, "0.0.1")
    assert.equal(trigger.namespace, namespace)
    assert.deepEqual(parameters(trigger), { place: "door", loud: false })
    assert.deepEqual(annotation(trigger, "note"), { a: 1 })
    await refused(ow.triggers.create({ name: "arrivals" }), 409)
    await ow.triggers.create({ name: "departures" })
    const updated = await ow.triggers.update({ name: "departures", trigger: { parameters: [{ key: "place", value: "gate" }] } })
    assert.equal(updated.version, "0.0.2")
  })

  step("read and list triggers", async () => {
    assert.deepEqual(parameters(await ow.triggers.get("departures")), { place: "gate" })
    assert.deepEqual((await ow.triggers.list()).map(one => one.name), ["departures", "arrivals"])
    assert.deepEqual((await ow.triggers.list({ limit: 1, skip: 1 })).map(one => one.name), ["arrivals"])
    assert.equal((await ow.triggers.list({ count: true })).triggers, 2)
  })

  step("fire with nobody listening", async () => {
    const answer = await ow.triggers.invoke("arrivals")
    assert.equal(answer.activationId, undefined)
    assert.deepEqual(await ow.activations.list({ name: "arrivals" }), [])
  })

  step("create rules", async () => {
    await ow.actions.create({ name: "greet", action: echo, params: { greeting: "hello" } })
    await ow.packages.create({ name: "books" })
    await ow.actions.create({ name: "books/note", kind: "python:default", action: "def main(args):\n    return {'noted': args['who']}\n" })
    const rule = await ow.rules.create({ name: "greetings", trigger: "arrivals", action: "greet" })
    assert.equal(rule.status, "active")
    assert.deepEqual(rule.trigger, { path: namespace, name: "arrivals" })
    assert.deepEqual(rule.action, { path: namespace, name: "greet" })
    const packaged = await ow.rules.create({ name: "notes", trigger: "/_/arrivals", action: `/${namespace}/books/note`, annotations: { why: "to know" } })
    assert.deepEqual(packaged.action, { path: `${namespace}/books`, name: "note" })
    assert.equal(annotation(packaged, "why"), "to know")
    await refused(ow.rules.create({ name: "notes", trigger: "arrivals", action: "greet" }), 409)
    const noTrigger = await refused(ow.rules.create({ name: "broken", trigger: "nowhere", action: "greet" }), 400)
    assert.equal(noTrigger.error.error, `trigger /${namespace}/nowhere does not exist`)
    const noAction = await refused(ow.rules.create({ name: "broken", trigger: "arrivals", action: "nowhere" }), 400)
    assert.equal(noAction.error.error, `action /${namespace}/nowhere does not exist`)
  })

  step("read and list rules", async () => {
    assert.equal((await ow.rules.get("greetings")).status, "active")
    assert.deepEqual((await ow.rules.list()).map(one => one.name), ["notes", "greetings"])
    assert.equal((await ow.rules.list({ count: true })).rules, 2)
    const { rules } = await ow.triggers.get("arrivals")
    assert.deepEqual(rules[`${namespace}/greetings`], { action: { path: namespace, name: "greet" }, status: "active" })
  })

  // The records of the actions that a fire started, by the rule's name.
  async function fired(trigger, params) {
    const { activationId } = await ow.triggers.invoke({ name: trigger, params })
    const fire = await record(ow, activationId)
    const lines = fire.logs.map(line => JSON.parse(line))
    return { fire, lines: Object.fromEntries(lines.map(line => [line.rule.split("/")[1], line])) }
  }

  step("fire", async () => {
    const { fire, lines } = await fired("arrivals", { who: "Ada", place: "window" })
    assert.equal(fire.name, "arrivals")
    assert.equal(fire.end, undefined)
    assert.deepEqual(fire.response.result, { who: "Ada", place: "window" })
    assert.deepEqual(Object.keys(lines).sort(), ["greetings", "notes"])
    assert.equal(lines.notes.action, `${namespace}/books/note`)
    const greet = await record(ow, lines.greetings.activationId)
    const { greeting, place, loud, who } = greet.response.result
    assert.deepEqual({ greeting, place, loud, who }, { greeting: "hello", place: "window", loud: false, who: "Ada" })
    assert.deepEqual((await record(ow, lines.notes.activationId)).response.result, { noted: "Ada" })
    assert.equal((await ow.activations.list({ name: "arrivals", limit: 1 }))[0].activationId, fire.activationId)
  })

  step("disable and enable", async () => {
    await ow.rules.disable({ name: "notes" })
    assert.equal((await ow.rules.get("notes")).status, "inactive")
    const { lines } = await fired("arrivals", { who: "Bob" })
    assert.equal(lines.greetings.success, true)
    assert.equal(lines.notes.success, false)
    assert.match(lines.notes.error, /^Rule '.*\/notes' is inactive/)
    await ow.rules.enable({ name: "notes" })
    assert.equal((await ow.rules.get("notes")).status, "active")
    await refused(ow.rules.enable({ name: "nowhere" }), 404)
  })

  step("update a rule", async () => {
    const rule = await ow.rules.update({ name: "notes", trigger: "departures", action: "greet" })
    assert.equal(rule.version, "0.0.2")
    assert.equal(rule.status, "active")
    assert.deepEqual(Object.keys((await ow.triggers.get("arrivals")).rules), [`${namespace}/greetings`])
    const { lines } = await fired("departures", { who: "Cid" })
    assert.equal((await record(ow, lines.notes.activationId)).response.result.place, "gate")
  })

  step("a rule whose action is gone", async () => {
    await ow.actions.delete("greet")
    const { lines } = await fired("arrivals", {})
    assert.equal(lines.greetings.success, false)
    assert.equal(lines.greetings.error, "The requested resource does not exist.")
  })

  step("delete rules and triggers", async () => {
    assert.equal((await ow.rules.delete("greetings")).status, "inactive")
    await ow.triggers.delete("departures")
    assert.equal((await ow.rules.get("notes")).status, "inactive")
    const orphan = await refused(ow.rules.enable({ name: "notes" }), 404)
    assert.equal(orphan.error.error, "Only rules with existing triggers can be activated")
    await ow.rules.delete("notes")
    await ow.triggers.delete("arrivals")
    assert.deepEqual(await ow.rules.list(), [])
    assert.deepEqual(await ow.triggers.list(), [])
    await refused(ow.triggers.invoke("arrivals"), 404)
    await ow.actions.delete("books/note")
    await ow.packages.delete("books")
  })

  step("feeds", async () => {
    await ow.packages.create({ name: "sources", package: { parameters: [{ key: "service", value: "clock" }] } })
    await ow.actions.create({ name: "sources/ticks", action: echo, annotations: { feed: true } })
    await ow.triggers.create({ name: "everyMinute", trigger: { annotations: [{ key: "feed", value: `/${namespace}/sources/ticks` }] } })
    const told = { service: "clock", authKey: key, triggerName: "/_/everyMinute" }
    const feed = { name: "sources/ticks", trigger: "everyMinute" }
    for (const [call, lifecycleEvent, params] of [
      ["create", "CREATE", { cron: "* * * * *" }], ["get", "READ", {}], ["update", "UPDATE", { cron: "0 * * * *" }], ["delete", "DELETE", {}],
    ]) {
      const { response } = await ow.feeds[call]({ ...feed, params })
      assert.deepEqual(response.result, { ...told, lifecycleEvent, ...params })
    }
    const events = await eventually(async () => {
      const records = await ow.activations.list({ name: "sources/ticks", docs: true })
      return records.length === 4 && records.map(one => one.response.result.lifecycleEvent).reverse()
    })
    assert.deepEqual(events, ["CREATE", "READ", "UPDATE", "DELETE"])
    const invalid = await refused(ow.triggers.create({ name: "odd", trigger: { annotations: [{ key: "feed", value: "/a/b/c/d" }] } }), 400)
    assert.equal(invalid.error.error, "Feed name is not valid")
    await refused(ow.feeds.create({ ...feed, name: "sources/nowhere" }), 404)
    await ow.triggers.delete("everyMinute")
    await ow.actions.delete("sources/ticks")
    await ow.packages.delete("sources")
  })

  step("a sequence as the target of a rule", async () => {
    await ow.actions.create({ name: "greet", action: echo })
    await ow.actions.create({ name: "greetTwice", sequence: ["/_/greet", "/_/greet"] })
    await ow.triggers.create({ name: "arrivals" })
    await ow.rules.create({ name: "greetings", trigger: "arrivals", action: "greetTwice" })
    const { lines } = await fired("arrivals", { who: "Dan" })
    const sequence = await record(ow, lines.greetings.activationId)
    assert.equal(sequence.logs.length, 2)
    assert.equal(sequence.response.result.who, "Dan")
    await ow.rules.delete("greetings")
    await ow.triggers.delete("arrivals")
    await ow.actions.delete(["greetTwice", "greet"])
  })
}
