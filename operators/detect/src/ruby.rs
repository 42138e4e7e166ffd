//! Ruby: Rails and Rack applications of Bundler.

use crate::{
    Context, Error, Subject,
    command::Start,
    dockerfile::Dockerfile,
    known::{NODE, RUBY},
    version::{Asked, Chosen, Tilde},
    work::{Made, Said, Work, apt},
};

/// Gems with C in them: what building and what running them needs.
const NATIVE: &[(&str, &[&str], &[&str])] = &[
    ("pg", &["libpq-dev"], &["libpq5"]),
    ("mysql2", &["default-libmysqlclient-dev"], &["libmariadb3"]),
    ("sqlite3", &["libsqlite3-dev"], &["libsqlite3-0"]),
    ("ruby-vips", &[], &["libvips42"]),
    ("image_processing", &[], &["libvips42"]),
];

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let lock = work
        .tree
        .read("Gemfile.lock")
        .unwrap_or_default()
        .to_owned();
    let gemfile = work.tree.read("Gemfile").unwrap_or_default().to_owned();
    let locked = work.tree.has("Gemfile.lock");
    let version = version(work, &gemfile, &lock)?;
    work.say(
        Subject::Manager,
        "bundler",
        Some(if locked { "Gemfile.lock" } else { "Gemfile" }),
    );
    if !locked {
        work.warn("there is no Gemfile.lock: versions of gems may change from build to build");
    }
    let uses = |gem: &str| uses(&gemfile, &lock, gem);
    let framework = ["rails", "sinatra", "hanami", "roda"]
        .into_iter()
        .find(|it| uses(it));
    if let Some(framework) = framework {
        work.say(Subject::Framework, framework, Some("Gemfile"));
    }
    let image = format!("docker.io/library/ruby:{}-slim-bookworm", version.tag);
    let start = work.start(
        |work| Ok(default_start(work, framework, uses("puma"))),
        "nothing says how to start the application: add a config.ru",
    )?;
    let native: Vec<_> = NATIVE.iter().filter(|(gem, ..)| uses(gem)).collect();
    let rails = framework == Some("rails");
    let mut file = Dockerfile::default();
    file.stage(&image, Some("build"));
    let mut packages = vec!["build-essential", "git", "libyaml-dev", "pkg-config"];
    packages.extend(native.iter().flat_map(|(_, build, _)| build.iter()));
    apt(&mut file, &packages);
    if rails && work.tree.has("package.json") {
        node(work, &mut file);
    }
    bundle(work, rails, locked, &mut file);
    assets(work, rails, &uses, &mut file);
    file.stage(&image, None);
    let mut packages: Vec<&str> = native
        .iter()
        .flat_map(|(_, _, run)| run.iter().copied())
        .collect();
    packages.sort_unstable();
    packages.dedup();
    apt(&mut file, &packages);
    work.packages(&mut file);
    environment(rails, &mut file);
    Work::port(&mut file);
    file.line("WORKDIR /app");
    file.line("COPY --from=build /usr/local/bundle /usr/local/bundle");
    file.line("COPY --from=build --chown=1000:1000 /app /app");
    file.line("USER 1000:1000");
    if let Some(start) = &start {
        file.start(start);
    }
    let mut from = vec!["Gemfile".to_owned()];
    from.extend(locked.then(|| "Gemfile.lock".to_owned()));
    Ok(Made {
        version: Some(version.tag),
        framework: framework.map(str::to_owned),
        from,
        context: Context::Folder,
        ignored: &[".bundle", "vendor/bundle", "log/*.log", "tmp/cache"],
        dockerfile: file,
    })
}

/// Whether a gem is in the lockfile or the Gemfile.
fn uses(gemfile: &str, lock: &str, gem: &str) -> bool {
    let locked = lock.lines().any(|line| {
        let rest = line
            .strip_prefix("    ")
            .and_then(|it| it.strip_prefix(gem));
        rest.is_some_and(|it| it.starts_with(" ("))
    });
    locked
        || gemfile.lines().any(|line| {
            let line = line.trim();
            ['"', '\'']
                .iter()
                .any(|quote| line.starts_with(&format!("gem {quote}{gem}{quote}")))
        })
}

fn environment(rails: bool, file: &mut Dockerfile) {
    let rails = if rails {
        " RAILS_ENV=production RAILS_LOG_TO_STDOUT=1 RAILS_SERVE_STATIC_FILES=1"
    } else {
        ""
    };
    file.line(&format!(
        "ENV RACK_ENV=production APP_ENV=production{rails} BUNDLE_WITHOUT=development:test BUNDLE_PATH=/usr/local/bundle"
    ));
}

fn bundle(work: &mut Work<'_>, rails: bool, locked: bool, file: &mut Dockerfile) {
    environment(rails, file);
    file.line("WORKDIR /app");
    if let Some(own) = work.own_install() {
        file.line("COPY . .");
        file.run_user(&own);
        return;
    }
    let mut files = vec!["Gemfile"];
    files.extend(
        ["Gemfile.lock", ".ruby-version", ".tool-versions"]
            .into_iter()
            .filter(|it| work.tree.has(it)),
    );
    // A gem of the repository's own must be there before it is installed.
    let gems = work.tree.read("Gemfile").unwrap_or_default();
    let local = gems.contains("path:")
        || gems.contains(":path")
        || gems.lines().any(|it| it.trim() == "gemspec");
    if local {
        file.comment("The Gemfile names gems of this folder.");
        file.line("COPY . .");
    } else {
        file.copy(&files, "./");
    }
    let frozen = if locked { "BUNDLE_FROZEN=1 " } else { "" };
    let command = format!("{frozen}bundle install");
    work.say(
        Subject::Install,
        &command,
        Some(if locked { "Gemfile.lock" } else { "Gemfile" }),
    );
    file.run(&format!(
        "{command} && rm -rf /usr/local/bundle/cache /root/.bundle/cache"
    ));
    if !local {
        file.line("COPY . .");
    }
}

/// Node, where Rails builds its assets with it.
fn node(work: &mut Work<'_>, file: &mut Dockerfile) {
    let image = format!("docker.io/library/node:{}-bookworm-slim", NODE.default);
    file.comment("Assets are built with Node.");
    file.line(&format!(
        "COPY --from={image} /usr/local/bin/node /usr/local/bin/node"
    ));
    file.line(&format!(
        "COPY --from={image} /usr/local/lib/node_modules /usr/local/lib/node_modules"
    ));
    let yarn = if work.tree.has("yarn.lock") {
        " && npm install -g yarn@1.22.22"
    } else {
        ""
    };
    file.run(&format!("ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx{yarn}"));
}

fn assets(work: &mut Work<'_>, rails: bool, uses: &dyn Fn(&str) -> bool, file: &mut Dockerfile) {
    let pipeline = ["sprockets-rails", "propshaft", "vite_rails", "shakapacker"]
        .into_iter()
        .find(|it| uses(it));
    let own = pipeline.filter(|_| rails).map(|pipeline| Said {
        command: "bundle exec rails assets:precompile".to_owned(),
        from: pipeline.to_owned(),
    });
    let said = work.settings.build_command.is_some();
    if rails && work.tree.has("package.json") && own.is_some() && !said {
        file.run(if work.tree.has("yarn.lock") {
            "yarn install --frozen-lockfile"
        } else if work.tree.has("package-lock.json") {
            "npm ci"
        } else {
            "npm install"
        });
    }
    let Some(build) = work.build(own) else { return };
    if rails && !said {
        // Rails asks for a key to start at all; this one is for this command only.
        // <https://guides.rubyonrails.org/v8.0/7_1_release_notes.html>
        file.run(&format!(
            "SECRET_KEY_BASE_DUMMY=1 {build} && rm -rf node_modules"
        ));
    } else {
        file.run_user(&build);
    }
}

fn default_start(work: &Work<'_>, framework: Option<&str>, puma: bool) -> Option<(Start, String)> {
    if framework == Some("rails") && work.tree.has("config/puma.rb") {
        let words = ["bundle", "exec", "puma", "-C", "config/puma.rb"];
        return Some((Start::exec(&words), "config/puma.rb".to_owned()));
    }
    if work.tree.has("config.ru") {
        let server = if puma {
            "puma --bind tcp://0.0.0.0:$PORT"
        } else {
            "rackup --host 0.0.0.0 --port $PORT"
        };
        return Some((
            Start::Shell(format!("exec bundle exec {server}")),
            "config.ru".to_owned(),
        ));
    }
    let file = work.tree.first(&["app.rb", "main.rb", "server.rb"])?;
    let start = if framework == Some("sinatra") {
        Start::Shell(format!("exec bundle exec ruby {file} -o 0.0.0.0 -p $PORT"))
    } else {
        Start::exec(&["bundle", "exec", "ruby", file])
    };
    Some((start, file.to_owned()))
}

/// `.ruby-version`, else `ruby "3.3.1"` of the Gemfile, else `RUBY VERSION` of its lockfile.
fn version(work: &mut Work<'_>, gemfile: &str, lock: &str) -> Result<Chosen, Error> {
    let quoted = |line: &str| {
        let rest = line.trim().strip_prefix("ruby ")?.trim();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split(quote).next().map(str::to_owned)
    };
    let asked = work
        .version_file(&[".ruby-version"], &["ruby"])
        .or_else(|| {
            Some(Asked::new(
                &gemfile.lines().find_map(quoted)?,
                "ruby in Gemfile",
            ))
        })
        .or_else(|| {
            let mut lines = lock
                .lines()
                .skip_while(|line| line.trim() != "RUBY VERSION")
                .skip(1);
            let line = lines.next()?.trim().strip_prefix("ruby ")?;
            Some(Asked::new(line.split('p').next()?, "Gemfile.lock"))
        });
    let asked = asked.map(|it| Asked::new(it.text.trim_start_matches("ruby-"), &it.from));
    work.version(&RUBY, Tilde::Next, asked)
}
