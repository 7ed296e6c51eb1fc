// What the steps expect of a server beside equal values.
import assert from "node:assert/strict"

// refused expects a promise to fail with an HTTP status and returns the error.
export async function refused(promise, status) {
  try {
    await promise
  } catch (e) {
    assert.equal(e.statusCode, status, e.message)
    return e
  }
  assert.fail(`expected status ${status}`)
}

// eventually calls get until it returns something, at most about 30 seconds: records may lag.
export async function eventually(get) {
  for (let attempt = 0; attempt < 600; attempt++) {
    const got = await get()
    if (got) return got
    await new Promise(done => setTimeout(done, 50))
  }
  assert.fail(`waited in vain for ${get}`)
}

// record fetches an activation once it can be had.
export function record(ow, id) {
  return eventually(() => ow.activations.get(id).catch(e => {
    if (e.statusCode !== 404) throw e
  }))
}

// annotation is the value of an annotation of an entity or record.
export function annotation({ annotations }, key) {
  return annotations.find(one => one.key === key)?.value
}

// parameters is the object form of an entity's parameters.
export function parameters({ parameters }) {
  return Object.fromEntries(parameters.map(({ key, value }) => [key, value]))
}
