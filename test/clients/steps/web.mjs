// Actions that are exported to the web: created with the client, called over plain HTTP.
import assert from "node:assert/strict"
import { eventually } from "../expect.mjs"

const page = `function main({name, __ow_method, __ow_path, __ow_headers = {}, __ow_body}) {
  if (name === 'teapot') return {error: {statusCode: 418, body: 'short and stout'}}
  return {
    headers: {'x-method': __ow_method, 'content-type': 'text/html; charset=UTF-8'},
    html: '<b>' + name + '</b>', text: name, body: '<i>' + name + '</i>',
    seen: {path: __ow_path, agent: __ow_headers['x-agent'], body: __ow_body},
  }
}`

export default function (step, { ow, namespace, host }) {
  const url = path => `${host}/api/v1/web/${namespace}/${path}`

  step("export", async () => {
    await ow.packages.create({ name: "site", package: { parameters: [{ key: "name", value: "nobody" }] } })
    await ow.actions.create({ name: "site/page", action: page, annotations: { "web-export": true } })
    await ow.actions.create({ name: "plain", action: page, params: { name: "Ann" }, annotations: { "web-export": true } })
    await ow.actions.create({ name: "private", action: page })
  })

  step("get", async () => {
    const answer = await fetch(url("site/page?name=Ada"))
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get("x-method"), "get")
    assert.equal(answer.headers.get("content-type"), "text/html; charset=UTF-8")
    assert.equal(answer.headers.get("access-control-allow-origin"), "*")
    assert.equal(await answer.text(), "<i>Ada</i>")
    const { name } = await eventually(() => ow.activations.get(answer.headers.get("x-openwhisk-activation-id")).catch(() => {}))
    assert.equal(name, "page")
    assert.equal(await (await fetch(url("site/page"))).text(), "<i>nobody</i>")
    assert.equal(await (await fetch(url("default/plain.http"))).text(), "<i>Ann</i>")
  })

  step("extensions", async () => {
    assert.equal(await (await fetch(url("site/page.html?name=Bob"))).text(), "<i>Bob</i>")
    assert.equal(await (await fetch(url("site/page.text?name=Bob"))).text(), "<i>Bob</i>")
    const json = await fetch(url("site/page.json/a/b?name=Bob"), { headers: { "X-Agent": "007" } })
    assert.equal(json.headers.get("content-type"), "application/json")
    assert.deepEqual((await json.json()).seen, { path: "/a/b", agent: "007" })
  })

  step("bodies", async () => {
    const post = async (type, body) => (await (await fetch(url("site/page.json"), { method: "POST", headers: { "content-type": type }, body })).json())
    assert.equal((await post("application/json", JSON.stringify({ name: "Cid" }))).text, "Cid")
    assert.equal((await post("application/x-www-form-urlencoded", "name=Dan+D")).text, "Dan D")
    assert.equal((await post("text/plain", "words")).seen.body, "words")
    const malformed = await fetch(url("site/page.json"), { method: "POST", headers: { "content-type": "application/json" }, body: "{" })
    assert.equal(malformed.status, 400)
  })

  step("errors", async () => {
    const teapot = await fetch(url("site/page?name=teapot"))
    assert.equal(teapot.status, 418)
    assert.equal(await teapot.text(), "short and stout")
    for (const path of ["default/private", "default/nowhere", "nowhere/page"]) {
      const missing = await fetch(url(path))
      assert.equal(missing.status, 404, path)
      assert.equal((await missing.json()).error, "The requested resource does not exist.")
    }
  })

  step("a secret", async () => {
    await ow.actions.update({ name: "plain", action: page, annotations: { "web-export": true, "require-whisk-auth": "open sesame" } })
    assert.equal((await fetch(url("default/plain.text"))).status, 401)
    assert.equal((await fetch(url("default/plain.text"), { headers: { "X-Require-Whisk-Auth": "open" } })).status, 401)
    assert.equal((await fetch(url("default/plain.text?name=Eve"), { headers: { "X-Require-Whisk-Auth": "open sesame" } })).status, 200)
  })

  step("raw", async () => {
    const raw = "function main({__ow_body, __ow_query}) { return {body: Buffer.from(__ow_body, 'base64') + '|' + __ow_query} }"
    await ow.actions.create({ name: "raw", action: raw, annotations: { "web-export": true, "raw-http": true } })
    const answer = await fetch(url("default/raw?a=1&b=2"), { method: "PUT", headers: { "content-type": "application/json" }, body: "[ 1, 2 ]" })
    assert.equal(await answer.text(), "[ 1, 2 ]|a=1&b=2")
  })

  step("a sequence", async () => {
    await ow.actions.create({ name: "chain", sequence: ["/_/site/page", "/_/site/page"], annotations: { "web-export": true } })
    assert.equal((await (await fetch(url("default/chain.json?name=Flo"))).json()).text, "nobody", "only the first gets the query")
  })

  step("delete", async () => {
    await ow.actions.delete(["chain", "raw", "plain", "private", "site/page"])
    await ow.packages.delete("site")
    assert.equal((await fetch(url("default/plain"))).status, 404)
  })
}
