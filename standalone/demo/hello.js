// A first action: it greets whoever the parameter "name" says.
function main({ name = 'world' }) {
  return { greeting: `Hello, ${name}!` };
}

exports.main = main;
