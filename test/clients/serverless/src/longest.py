def main(args):
    return {"longest": max(args["words"], key=len)}
