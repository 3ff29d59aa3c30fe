"""The servers that the tests meet: real ones, private, on the loopback, in a temporary folder."""
