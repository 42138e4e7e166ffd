//! PHP: behind Apache, as a user without rights.

use crate::{
    Context, Error, Subject,
    command::Start,
    dockerfile::Dockerfile,
    known::{NODE, PHP},
    manifest,
    version::{Asked, Chosen, Tilde},
    work::{Made, Said, Work, apt},
};

/// Extensions that the image builds, and the Debian packages that they need.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("bcmath", &[]),
    ("bz2", &["libbz2-dev"]),
    ("calendar", &[]),
    ("exif", &[]),
    (
        "gd",
        &["libfreetype-dev", "libjpeg62-turbo-dev", "libpng-dev"],
    ),
    ("gettext", &[]),
    ("gmp", &["libgmp-dev"]),
    ("intl", &["libicu-dev"]),
    ("mysqli", &[]),
    ("opcache", &[]),
    ("pcntl", &[]),
    ("pdo_mysql", &[]),
    ("pdo_pgsql", &["libpq-dev"]),
    ("pgsql", &["libpq-dev"]),
    ("soap", &["libxml2-dev"]),
    ("sockets", &[]),
    ("xsl", &["libxslt1-dev"]),
    ("zip", &["libzip-dev"]),
];
/// Extensions of PECL.
const PECL: &[&str] = &["apcu", "igbinary", "mongodb", "redis"];
/// Extensions that the image has.
const BUILT_IN: &[&str] = &[
    "ctype",
    "curl",
    "dom",
    "fileinfo",
    "filter",
    "ftp",
    "hash",
    "iconv",
    "json",
    "libxml",
    "mbstring",
    "mysqlnd",
    "openssl",
    "pcre",
    "pdo",
    "pdo_sqlite",
    "phar",
    "posix",
    "readline",
    "session",
    "simplexml",
    "sodium",
    "spl",
    "sqlite3",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
    "zlib",
];

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let text = work.tree.read("composer.json");
    let composer = text
        .map(|text| manifest::json("composer.json", text))
        .transpose()?
        .unwrap_or_default();
    let version = version(work, &composer)?;
    let managed = text.is_some();
    let framework = [
        ("laravel/framework", "laravel"),
        ("symfony/framework-bundle", "symfony"),
        ("slim/slim", "slim"),
    ]
    .into_iter()
    .find(|(package, _)| composer["require"][*package].is_string())
    .map(|(_, name)| name);
    work.say(
        Subject::Manager,
        if managed { "composer" } else { "none" },
        managed.then_some("composer.json"),
    );
    if let Some(framework) = framework {
        work.say(Subject::Framework, framework, Some("composer.json"));
    }
    let document_root = if work.tree.has("public/index.php") {
        "public"
    } else {
        "."
    };
    work.say(
        Subject::Output,
        document_root,
        Some(if document_root == "." {
            "index.php"
        } else {
            "public/index.php"
        }),
    );
    let image = format!("docker.io/library/php:{}-apache-bookworm", version.tag);
    let mut file = Dockerfile::default();
    let assets = assets(work, &mut file)?;
    build_stage(work, &composer, &image, managed, assets, &mut file);
    run_stage(work, &composer, &image, document_root, &mut file);
    let start = work.start(
        |_| {
            Ok(Some((
                Start::exec(&["apache2-foreground"]),
                "the image".to_owned(),
            )))
        },
        "nothing says how to start the application: add an index.php",
    )?;
    if let Some(start) = &start {
        file.start(start);
    }
    let sign = work
        .tree
        .first(&["composer.json", "index.php", "public/index.php"]);
    Ok(Made {
        version: Some(version.tag),
        framework: framework.map(str::to_owned),
        from: vec![sign.unwrap_or("PHP files").to_owned()],
        context: Context::Folder,
        ignored: if managed { &["vendor"] } else { &[] },
        dockerfile: file,
    })
}

/// Assets that Node builds, in a stage of their own.
fn assets(work: &mut Work<'_>, file: &mut Dockerfile) -> Result<bool, Error> {
    let Some(text) = work.tree.read("package.json") else {
        return Ok(false);
    };
    let package = manifest::json("package.json", text)?;
    if !package["scripts"]["build"].is_string() {
        return Ok(false);
    }
    let locked = work.tree.has("package-lock.json");
    file.stage(
        &format!("docker.io/library/node:{}-bookworm-slim", NODE.default),
        Some("assets"),
    );
    file.line("WORKDIR /app");
    file.copy(
        if locked {
            &["package.json", "package-lock.json"][..]
        } else {
            &["package.json"]
        },
        "./",
    );
    file.run(if locked {
        "npm ci --no-audit --no-fund"
    } else {
        "npm install --no-audit --no-fund"
    });
    file.line("COPY . .");
    file.run("npm run build && rm -rf node_modules");
    work.say(
        Subject::Build,
        "npm run build",
        Some("scripts.build in package.json"),
    );
    Ok(true)
}

fn build_stage(
    work: &mut Work<'_>,
    composer: &serde_json::Value,
    image: &str,
    managed: bool,
    assets: bool,
    file: &mut Dockerfile,
) {
    file.stage(image, Some("build"));
    file.line("WORKDIR /app");
    let own = work.own_install();
    if managed {
        apt(file, &["git", "unzip"]);
        file.line(
            "COPY --from=docker.io/library/composer:2 /usr/bin/composer /usr/local/bin/composer",
        );
        file.line("ENV COMPOSER_ALLOW_SUPERUSER=1");
    }
    match own {
        Some(own) => {
            file.line("COPY . .");
            file.run_user(&own);
        }
        None if managed => {
            let locked = work.tree.has("composer.lock");
            if !locked {
                work.warn("there is no composer.lock: versions of dependencies may change from build to build");
            }
            file.copy(
                if locked {
                    &["composer.json", "composer.lock"][..]
                } else {
                    &["composer.json"]
                },
                "./",
            );
            // Extensions are of the final image; scripts need the sources.
            let flags = "--no-dev --no-interaction --prefer-dist --ignore-platform-req='ext-*'";
            file.run(&format!(
                "composer install {flags} --no-scripts --no-autoloader"
            ));
            file.line("COPY . .");
            file.run("composer dump-autoload --no-dev --classmap-authoritative --no-scripts");
            work.say(
                Subject::Install,
                "composer install --no-dev",
                Some(if locked {
                    "composer.lock"
                } else {
                    "composer.json"
                }),
            );
        }
        None => file.line("COPY . ."),
    }
    if assets {
        file.line("COPY --from=assets /app/public ./public");
    }
    let script =
        composer["scripts"]["build"].is_string() || composer["scripts"]["build"].is_array();
    let own = script.then(|| Said {
        command: "composer run-script build".to_owned(),
        from: "scripts.build in composer.json".to_owned(),
    });
    if let Some(build) = work.build(own) {
        file.run_user(&build);
    }
}

fn run_stage(
    work: &mut Work<'_>,
    composer: &serde_json::Value,
    image: &str,
    document_root: &str,
    file: &mut Dockerfile,
) {
    file.stage(image, None);
    extensions(work, composer, file);
    work.packages(file);
    Work::port(file);
    apache(document_root, file);
    file.line("WORKDIR /app");
    file.line("COPY --from=build --chown=33:33 /app /app");
    file.line("USER 33:33");
}

/// Apache's own files, which read the port from the environment when it starts.
fn apache(document_root: &str, file: &mut Dockerfile) {
    let (root, fallback) = match document_root {
        "." => ("/app", None),
        _ => ("/app/public", Some("    FallbackResource /index.php")),
    };
    let document_root = format!("  DocumentRoot {root}");
    let directory = format!("  <Directory {root}>");
    let mut lines = vec![
        "ServerTokens Prod",
        "ServerName localhost",
        "<VirtualHost *:${PORT}>",
        &document_root,
        &directory,
        "    Options -Indexes +FollowSymLinks",
        "    AllowOverride All",
        "    Require all granted",
    ];
    lines.extend(fallback);
    lines.extend([
        "  </Directory>",
        "  <LocationMatch \"/\\.(?!well-known/)\">",
        "    Require all denied",
        "  </LocationMatch>",
        "  <FilesMatch \"^(composer\\.(json|lock)|Procfile|Dockerfile)$\">",
        "    Require all denied",
        "  </FilesMatch>",
        "  ErrorLog /proc/self/fd/2",
        "  CustomLog /proc/self/fd/1 combined",
        "</VirtualHost>",
    ]);
    file.comment("Apache: the port is read from the environment when it starts.");
    file.write("/etc/apache2/ports.conf", &["Listen ${PORT}"]);
    file.write("/etc/apache2/sites-available/000-default.conf", &lines);
    file.run("a2enmod rewrite headers && mv \"$PHP_INI_DIR/php.ini-production\" \"$PHP_INI_DIR/php.ini\"");
}

fn extensions(work: &mut Work<'_>, composer: &serde_json::Value, file: &mut Dockerfile) {
    let required = composer["require"].as_object();
    let names = required
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_prefix("ext-"));
    let (mut build, mut pecl, mut packages) = (vec!["opcache"], Vec::new(), Vec::new());
    let mut unknown = Vec::new();
    for name in names {
        if let Some((name, needs)) = EXTENSIONS.iter().find(|(it, _)| *it == name) {
            build.push(name);
            packages.extend_from_slice(needs);
        } else if let Some(name) = PECL.iter().find(|it| **it == name) {
            pecl.push(*name);
        } else if !BUILT_IN.contains(&name) {
            unknown.push(
                name.chars()
                    .filter(|c| !c.is_control())
                    .take(40)
                    .collect::<String>(),
            );
        }
    }
    if !unknown.is_empty() {
        work.warn(format!(
            "extensions that are not known are not installed: {}",
            unknown.join(", ")
        ));
    }
    // Databases are what most applications have, whether they say so or not.
    build.extend(["pdo_mysql", "pdo_pgsql"]);
    packages.push("libpq-dev");
    for list in [&mut build, &mut pecl, &mut packages] {
        list.sort_unstable();
        list.dedup();
    }
    apt(file, &packages);
    // PHP 8.5 has opcache built in.
    let opcache =
        "test \"$(php -r 'echo PHP_VERSION_ID;')\" -ge 80500 || docker-php-ext-install opcache";
    build.retain(|it| *it != "opcache");
    let configure = if build.contains(&"gd") {
        "docker-php-ext-configure gd --with-freetype --with-jpeg && "
    } else {
        ""
    };
    file.run(&format!(
        "{configure}docker-php-ext-install -j\"$(nproc)\" {}",
        build.join(" ")
    ));
    file.run(opcache);
    if !pecl.is_empty() {
        file.run(&format!(
            "pecl install {0} && docker-php-ext-enable {0}",
            pecl.join(" ")
        ));
    }
}

/// `require.php` of composer.json, or a version file.
fn version(work: &mut Work<'_>, composer: &serde_json::Value) -> Result<Chosen, Error> {
    let asked = work
        .version_file(&[".php-version"], &["php"])
        .or_else(|| {
            Some(Asked::new(
                composer["config"]["platform"]["php"].as_str()?,
                "config.platform.php in composer.json",
            ))
        })
        .or_else(|| {
            Some(Asked::new(
                composer["require"]["php"].as_str()?,
                "require.php in composer.json",
            ))
        });
    work.version(&PHP, Tilde::Next, asked)
}
