import os

import requests
from flask import Flask, abort
from flask_sqlalchemy import SQLAlchemy
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


@app.get("/neighbour")
def neighbour():
    """What another Service says: API_URL comes from a serviceRef."""
    url = os.environ.get("API_URL") or abort(404)
    return requests.get(url, timeout=5).text
