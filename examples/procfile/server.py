"""Nobody could guess how this is started: the Procfile says it."""

import click
from aiohttp import web
from sqlalchemy import create_engine, text

database = create_engine("sqlite://")


async def hello(request):
    return web.Response(text="Hello from a Procfile\n")


async def now(request):
    with database.connect() as connection:
        return web.json_response({"now": connection.scalar(text("SELECT current_timestamp"))})


@click.command()
@click.option("--port", type=int, required=True, help="Where to listen.")
def serve(port):
    """Serves greetings, and ends when it is told to."""
    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/now", now)])
    web.run_app(app, port=port)


if __name__ == "__main__":
    serve()
