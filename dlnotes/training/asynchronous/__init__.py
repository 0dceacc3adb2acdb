"""Asynchronous descent: workers that update one vector of parameters without waiting for one another."""
