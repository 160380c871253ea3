"""What goes over HTTP: requests, answers, events and problems, as both the server and the client read them.

One definition of each. A model says what the API's description says of it, and knows how it is made of FlowStone's
own objects. Nothing here imports what serves HTTP, nor what speaks it.

    model.py       what every model is; paging.py: lists, a page at a time; values.py: what several have in common
    problems.py    what is wrong (RFC 9457)
    the others     one kind of thing each
"""
