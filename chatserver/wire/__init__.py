"""Pure codecs: what goes over the wire, as bytes, without any idea of a connection."""
