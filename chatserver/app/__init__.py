"""Where everything is put together. It knows every concrete class; nobody knows it."""
