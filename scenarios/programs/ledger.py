"""An SQLite database in memory: rows put in, an index, groups, a join, and many small updates."""

import sqlite3
import sys

rows = int(sys.argv[1])
state = 20260101


def draw(below):
    """The next number of a fixed sequence, below a bound."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 33) % below


database = sqlite3.connect(":memory:")
database.execute("create table account (id integer primary key, name text, balance integer)")
database.execute("create table entry (account integer, amount integer, note text)")
accounts = rows // 20
for i in range(accounts):
    database.execute("insert into account values (?, ?, 0)", (i, f"account {i * 7919 % accounts}"))
for i in range(rows):
    values = (draw(accounts), draw(1000), f"entry {i} " + "x" * draw(60))
    database.execute("insert into entry values (?, ?, ?)", values)
database.execute("create index of_account on entry (account)")
for i in range(0, accounts, 2):
    total = database.execute("select sum(amount) from entry where account = ?", (i,)).fetchone()[0]
    database.execute("update account set balance = ? where id = ?", (total or 0, i))
query = """
    select substr(name, 1, 9) as prefix, count(*), sum(amount), max(length(note))
    from account join entry on account = id group by prefix order by prefix
"""
for row in database.execute(query):
    print(*row)
