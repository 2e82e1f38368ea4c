"""The venue adapter: Alpaca's REST and streams, translated to domain values and back.

``venue.py`` answers what ``domain.venue.Venue`` asks, over ``rest.py``; ``order_stream.py`` and ``market_stream.py`` keep the two
sockets and publish what arrives, each over a ``feed.py`` that ``reconnect.py`` brings back. What the bytes mean (``splitter.py``,
``wire.py``, ``order_frames.py``, ``market_wire.py``), what a refusal proves (``refusals.py``), how much of the request quota is left
(``limits.py``) and how long to wait before the next attempt (``backoff.py``) is decided without a socket.
Nothing here knows the bus, the journal or the business rooms.
"""
