//! Java: a jar of Maven or Gradle.

use crate::{
    Context, Error, Subject,
    command::Start,
    dockerfile::Dockerfile,
    known::JAVA,
    manifest::xml,
    version::{Asked, Chosen, Tilde},
    work::{Made, Said, Work},
};

/// Takes the jar that can be started. A shell script of ours: no text of users is in it.
const TAKE_JAR: &str = "mkdir -p /out && for jar in target/*.jar build/libs/*.jar; do \
case \"$jar\" in *-plain.jar|*-sources.jar|*-javadoc.jar|*/original-*) continue ;; esac; \
if unzip -p \"$jar\" META-INF/MANIFEST.MF > /tmp/manifest 2>/dev/null && grep -q '^Main-Class:' /tmp/manifest; then cp \"$jar\" /out/app.jar; fi; done; \
test -f /out/app.jar || { echo 'no jar of the build has a Main-Class: use the Spring Boot, shade or shadow plugin, or set build.start' >&2; exit 1; }";

/// The tool that builds.
struct Tool {
    name: &'static str,
    file: &'static str,
    wrapper: bool,
    /// Text of its build file.
    text: String,
}

/// What a build makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Spring,
    Quarkus,
    /// Gradle's `application` plugin: a folder with a start script.
    Distribution,
    Jar,
}

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let tool = tool(work)?;
    let version = version(work, &tool)?;
    let kind = kind(&tool);
    let framework = match kind {
        Kind::Spring => Some("spring-boot"),
        Kind::Quarkus => Some("quarkus"),
        _ => None,
    };
    if let Some(framework) = framework {
        work.say(Subject::Framework, framework, Some(tool.file));
    }
    let mut file = Dockerfile::default();
    tool.build_stage(work, kind, &version.tag, &mut file);
    let start = work.start(
        |_| Ok(Some((default_start(kind), tool.file.to_owned()))),
        "nothing says how to start the application: add a main class",
    )?;
    file.stage(
        &format!(
            "docker.io/library/eclipse-temurin:{}-jre-noble",
            version.tag
        ),
        None,
    );
    work.packages(&mut file);
    file.comment("A part of the container's memory, not of the node's.");
    file.line("ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75");
    Work::port(&mut file);
    file.line("WORKDIR /app");
    file.line("COPY --from=build --chown=65532:65532 /out /app");
    file.line("USER 65532:65532");
    if let Some(start) = &start {
        file.start(start);
    }
    Ok(Made {
        version: Some(version.tag),
        framework: framework.map(str::to_owned),
        from: vec![tool.file.to_owned()],
        context: Context::Folder,
        ignored: &["**/target", "/build", "**/.gradle"],
        dockerfile: file,
    })
}

fn default_start(kind: Kind) -> Start {
    match kind {
        Kind::Spring => Start::Shell("exec java -Dserver.port=$PORT -jar /app/app.jar".to_owned()),
        Kind::Quarkus => Start::Shell(
            "exec java -Dquarkus.http.host=0.0.0.0 -Dquarkus.http.port=$PORT -jar /app/quarkus-run.jar".to_owned(),
        ),
        Kind::Distribution => Start::exec(&["/app/bin/start"]),
        Kind::Jar => Start::exec(&["java", "-jar", "/app/app.jar"]),
    }
}

fn tool(work: &mut Work<'_>) -> Result<Tool, Error> {
    let file = work
        .tree
        .first(&["pom.xml", "build.gradle", "build.gradle.kts"])
        .unwrap_or("pom.xml");
    let maven = file == "pom.xml";
    let script = if maven { "mvnw" } else { "gradlew" };
    let settings = if maven {
        ".mvn/wrapper/maven-wrapper.properties"
    } else {
        "gradle/wrapper/gradle-wrapper.properties"
    };
    let text = work.tree.read(file).unwrap_or_default().to_owned();
    if maven && !text.contains("<project") {
        return Err(crate::manifest::invalid(
            "pom.xml",
            Some(1),
            "no Maven project: there is no <project> in it",
        ));
    }
    let wrapper = work.tree.has(script) && work.tree.has(settings);
    let name = if maven { "maven" } else { "gradle" };
    work.say(
        Subject::Manager,
        name,
        Some(if wrapper { script } else { file }),
    );
    if work.tree.has(script) && !wrapper {
        work.warn(format!(
            "{script} is there without {settings}, so the image's {name} is used"
        ));
    }
    Ok(Tool {
        name,
        file,
        wrapper,
        text,
    })
}

fn kind(tool: &Tool) -> Kind {
    let has = |text: &str| tool.text.contains(text);
    if has("spring-boot-maven-plugin") || has("org.springframework.boot") && tool.name == "gradle" {
        Kind::Spring
    } else if has("io.quarkus") || has("quarkus-maven-plugin") {
        Kind::Quarkus
    } else if tool.name == "gradle"
        && !has("shadow")
        && tool.text.lines().map(str::trim).any(|line| {
            line == "application"
                || line.starts_with("id 'application'")
                || line.starts_with("id(\"application\")")
                || line.starts_with("id \"application\"")
                || line.contains("apply plugin: 'application'")
        })
    {
        Kind::Distribution
    } else {
        Kind::Jar
    }
}

/// The Gradle that runs on a Java. <https://docs.gradle.org/current/userguide/compatibility.html>
fn gradle(java: &str) -> u32 {
    if java.parse().is_ok_and(|it: u32| it > 24) {
        9
    } else {
        8
    }
}

impl Tool {
    fn program(&self) -> &'static str {
        match (self.name, self.wrapper) {
            ("maven", true) => "./mvnw",
            ("maven", false) => "mvn",
            (_, true) => "./gradlew",
            (_, false) => "gradle",
        }
    }

    fn build_stage(&self, work: &mut Work<'_>, kind: Kind, java: &str, file: &mut Dockerfile) {
        let image = match (self.name, self.wrapper) {
            (_, true) => format!("docker.io/library/eclipse-temurin:{java}-jdk-noble"),
            ("maven", _) => format!("docker.io/library/maven:3.9-eclipse-temurin-{java}"),
            _ => format!("docker.io/library/gradle:{}-jdk{java}", gradle(java)),
        };
        file.stage(&image, Some("build"));
        crate::work::apt(file, &["unzip"]);
        file.line("WORKDIR /app");
        let own = work.own_install();
        let program = self.program();
        let modules = self.text.contains("<modules>");
        if let Some(own) = own {
            file.line("COPY . .");
            file.run_user(&own);
        } else if self.name == "maven" && !modules {
            file.copy(&["pom.xml"], "./");
            if self.wrapper {
                file.line("COPY mvnw ./");
                file.line("COPY .mvn ./.mvn");
            }
            let through = if self.wrapper { "sh ./mvnw" } else { program };
            file.run(&format!("{through} -B -ntp dependency:go-offline"));
            file.line("COPY . .");
            work.say(
                Subject::Install,
                &format!("{program} dependency:go-offline"),
                Some(self.file),
            );
        } else {
            file.line("COPY . .");
        }
        // The script may have lost its right to be run on the way.
        let through = if self.wrapper {
            format!("sh {program}")
        } else {
            program.to_owned()
        };
        let command = match (self.name, kind) {
            ("maven", _) => format!("{through} -B -ntp -DskipTests package"),
            (_, Kind::Spring) => format!("{through} --no-daemon bootJar"),
            (_, Kind::Quarkus) => format!("{through} --no-daemon quarkusBuild"),
            (_, Kind::Distribution) => format!("{through} --no-daemon installDist"),
            _ if self.text.contains("shadow") => format!("{through} --no-daemon shadowJar"),
            _ => format!("{through} --no-daemon assemble"),
        };
        let build = work.build(Some(Said {
            command,
            from: self.file.to_owned(),
        }));
        file.run_user(&build.unwrap_or_default());
        match kind {
            Kind::Quarkus => file.run("mkdir -p /out && for made in target build; do if [ -d \"$made/quarkus-app\" ]; then cp -r \"$made/quarkus-app/.\" /out/; fi; done"),
            Kind::Distribution => file.run("mkdir -p /out && set -- build/install/* && cp -r \"$1\"/. /out/ && ln -s \"$(basename \"$1\")\" /out/bin/start"),
            // A start of the person's finds the files where the build left them.
            _ if work.settings.start_command.is_some() || work.tree.procfile("web").is_some() => {
                file.run("mkdir -p /out && for made in target build; do if [ -d \"$made\" ]; then cp -r \"$made\" /out/; fi; done");
            }
            _ => file.run(TAKE_JAR),
        }
    }
}

/// A version file, else what the compiler is told.
fn version(work: &mut Work<'_>, tool: &Tool) -> Result<Chosen, Error> {
    let properties = work.tree.read_up("system.properties");
    let asked = work
        .version_file(&[".java-version"], &["java"])
        .or_else(|| {
            let line = properties?
                .lines()
                .find_map(|line| line.trim().strip_prefix("java.runtime.version"))?;
            Some(Asked::new(
                line.trim().trim_start_matches(['=', ':']),
                "system.properties",
            ))
        })
        .or_else(|| {
            if tool.name == "maven" {
                of_maven(tool)
            } else {
                of_gradle(tool)
            }
        });
    let asked = asked.map(|it| {
        // `temurin-21.0.2+13`, `1.8`, `17.0.9-tem`.
        let text = it.text.trim_start_matches(|c: char| !c.is_ascii_digit());
        let text = text
            .strip_prefix("1.")
            .filter(|it| it.starts_with('8'))
            .unwrap_or(text);
        let text = text.split(['+', '-', '_']).next().unwrap_or_default();
        let text = if text.is_empty() {
            it.text.as_str()
        } else {
            text
        };
        Asked::new(text, &it.from)
    });
    work.version(&JAVA, Tilde::Minor, asked)
}

fn of_maven(tool: &Tool) -> Option<Asked> {
    let names = [
        "maven.compiler.release",
        "java.version",
        "maven.compiler.target",
        "maven.compiler.source",
        "release",
    ];
    let (name, value) = names
        .into_iter()
        .find_map(|name| Some((name, xml(&tool.text, name)?)))?;
    // It may name another property.
    let property = value.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    let value = match property {
        Some(property) => xml(&tool.text, property)?,
        None => value,
    };
    Some(Asked::new(value, &format!("{name} in pom.xml")))
}

fn of_gradle(tool: &Tool) -> Option<Asked> {
    let signs = [
        "JavaLanguageVersion.of(",
        "jvmToolchain(",
        "JavaVersion.VERSION_",
        "sourceCompatibility = ",
        "targetCompatibility = ",
    ];
    let value = signs.into_iter().find_map(|sign| {
        let (_, rest) = tool.text.split_once(sign)?;
        let rest = rest.trim_start_matches(['\'', '"']);
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
            .unwrap_or(rest.len());
        let value = rest.get(..end)?.replace('_', ".");
        (!value.is_empty()).then_some(value)
    })?;
    Some(Asked::new(&value, tool.file))
}
