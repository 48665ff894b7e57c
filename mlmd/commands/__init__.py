"""Decide: what a put request becomes, given what is known. Pure: ids, times and every check are settled here.

Each command takes a Draft and a request, adds changes to the draft, and returns the response; a refusal is a StatusError and
leaves the draft to be thrown away. The order of checks is MLMD's, because the first failing one decides the status.
Source: the behavioural contract of ml-metadata 1.17.1; departures are listed in docs/compatibility.md.
"""
