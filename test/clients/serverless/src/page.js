exports.main = ({ name }) => ({ headers: { "content-type": "text/html" }, body: `<h1>Library of ${name}</h1>` })
