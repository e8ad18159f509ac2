import os

from flask import Flask, redirect, render_template, request, url_for


def create_app(test_config=None):
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(
        SECRET_KEY=os.environ.get("SECRET_KEY", "dev"),
        DATABASE=os.path.join(app.instance_path, "flaskr.sqlite"),
    )
    if test_config is None:
        app.config.from_pyfile("config.py", silent=True)
    else:
        app.config.from_mapping(test_config)
    os.makedirs(app.instance_path, exist_ok=True)

    from . import db

    db.init_app(app)

    @app.get("/")
    def index():
        posts = db.get_db().execute("SELECT id, title FROM post ORDER BY id DESC").fetchall()
        return render_template("index.html", posts=posts)

    @app.post("/create")
    def create():
        connection = db.get_db()
        connection.execute("INSERT INTO post (title) VALUES (?)", (request.form["title"],))
        connection.commit()
        return redirect(url_for("index"), 303)

    return app
