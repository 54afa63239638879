"""How a ticket is made: criteria, scopes, survivors, rewinds, controls."""
