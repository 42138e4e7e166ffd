import os

import psycopg
import requests
from flask import Flask, abort
from flask_sqlalchemy import SQLAlchemy
from pyservicebinding import binding
from sqlalchemy import text

app = Flask(__name__)

# With a Postgres beside it: DATABASE_URL comes from a databaseRef.
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("DATABASE_URL", "sqlite://")
db = SQLAlchemy(app)


@app.get("/")
def hello():
    return "Hello from Python\n", {"Content-Type": "text/plain"}


@app.get("/now")
def now():
    return {"now": str(db.session.scalar(text("SELECT current_timestamp")))}


@app.get("/bound")
def bound():
    """Who a library for service bindings connects as: run.bindings names the Databases."""
    try:
        found = binding.ServiceBinding()
    except binding.ServiceBindingRootMissingError:
        abort(404)
    to = found.bindings("postgresql", "trackbed")[0]
    with psycopg.connect(
        host=to["host"],
        port=to["port"],
        user=to["username"],
        password=to["password"],
        dbname=to["database"],
    ) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()
    others = [to["host"] for to in found.bindings("redis")]
    return {"user": row[0], "database": row[1], "redis": others}


@app.get("/neighbour")
def neighbour():
    """What another Service says: API_URL comes from a serviceRef."""
    url = os.environ.get("API_URL") or abort(404)
    return requests.get(url, timeout=5).text
