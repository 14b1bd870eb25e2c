def handler(event):
    return "order"
