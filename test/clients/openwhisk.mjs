// Drives a server with the npm client `openwhisk` as its users do. The server and
// the key come from __OW_API_HOST and __OW_API_KEY, as the client documents.
import openwhisk from "openwhisk"
import actions from "./steps/actions.mjs"
import packages from "./steps/packages.mjs"
import sequences from "./steps/sequences.mjs"
import events from "./steps/events.mjs"
import web from "./steps/web.mjs"
import errors from "./steps/errors.mjs"

const ow = openwhisk()
const [namespace] = await ow.namespaces.list()
const server = { ow, namespace, host: process.env.__OW_API_HOST, key: process.env.__OW_API_KEY }

const topics = { actions, packages, sequences, events, web, errors }

// Each topic begins and ends with an empty namespace; its steps build on each other.
// Arguments choose topics.
const chosen = process.argv.slice(2)
for (const topic of chosen.length ? chosen : Object.keys(topics)) {
  const steps = []
  topics[topic]((name, run) => steps.push({ name, run }), server)
  for (const { name, run } of steps) {
    try {
      await run()
      console.log(`ok      ${topic}: ${name}`)
    } catch (e) {
      console.log(`FAILED  ${topic}: ${name}\n${e.stack}`)
      process.exit(1)
    }
  }
}
