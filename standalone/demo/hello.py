"""A first action: it greets whoever the parameter "name" says."""


def main(args):
    return {"greeting": "Hello, " + args.get("name", "world") + "!"}
