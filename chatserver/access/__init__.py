"""Who is asking, and how much they may: cookies, tickets, hosts and origins, limits."""
