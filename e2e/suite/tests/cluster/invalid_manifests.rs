//! Manifests that the API server refuses, each with a sentence that says what to write instead.

mod databases;

use databases::DATABASES;
use suite::Cluster;

/// What is wrong, and a part of the sentence that says so.
const SERVICES: &[(&str, &str)] = &[
    ("{}", "spec.source"),
    ("{source: {}}", "exactly one of git, image and promotion"),
    (
        "{source: {git: {url: 'https://h/r'}, image: {reference: a}}}",
        "exactly one of git, image and promotion",
    ),
    ("{source: {git: {}}}", "url"),
    (
        "{source: {image: {reference: a}, promotion: {environment: staging}}}",
        "exactly one of git, image and promotion",
    ),
    (
        "{source: {image: {reference: a}}, expose: {domains: [{host: 'a.*.example.com'}]}}",
        "for all hosts one label below a domain",
    ),
    (
        "{source: {image: {reference: a}}, expose: {domains: [{host: 'https://example.com'}]}}",
        "without scheme, port or path",
    ),
    (
        "{source: {image: {reference: a}}, run: {worker: true, healthcheck: {path: /h}}}",
        "a worker answers no requests",
    ),
    (
        "{source: {image: {reference: a}}, run: {worker: true}, expose: {domains: [{host: a.example.com}]}}",
        "a worker has no address",
    ),
    (
        "{source: {image: {reference: a}}, run: {volumes: [{name: a, mountPath: /a}]}, scale: {replicas: 2}}",
        "a volume belongs to one pod",
    ),
    (
        "{source: {image: {reference: a}}, run: {volumes: [{name: a, mountPath: /a/../etc}]}}",
        "absolute path without '..'",
    ),
    (
        "{source: {image: {reference: a}}, run: {volumes: [{name: a, mountPath: /a}, {name: b, mountPath: /a}]}}",
        "a mountPath of its own",
    ),
    (
        "{source: {image: {reference: a}}, scale: {min: 2}}",
        "min, cpu, memory and behavior need max",
    ),
    (
        "{source: {image: {reference: a}}, scale: {min: 3, max: 2}}",
        "min must not be more than max",
    ),
    (
        "{source: {image: {reference: a}}, cron: {schedule: '* * * *'}}",
        "the five fields of cron",
    ),
    (
        "{source: {image: {reference: a}}, cron: {schedule: 'TZ=UTC * * * * *'}}",
        "the time zone goes into timeZone",
    ),
    (
        "{source: {image: {reference: a}}, cron: {schedule: '@daily', timeZone: '../UTC'}}",
        "name of a time zone",
    ),
    (
        "{source: {image: {reference: a}}, cron: {schedule: '@daily'}, expose: {domains: [{host: a.example.com}]}}",
        "an application with cron answers no requests",
    ),
    (
        "{source: {image: {reference: a}}, run: {preDeploy: {command: []}}}",
        "preDeploy.command",
    ),
    (
        "{source: {image: {reference: a}}, run: {preDeploy: {command: [a], timeout: 1s}}}",
        "between 5s and 24h",
    ),
    (
        "{source: {git: {url: 'file:///etc'}}}",
        "https://, http:// or ssh:// URL",
    ),
    (
        "{source: {git: {url: 'git://h/r'}}}",
        "https://, http:// or ssh:// URL",
    ),
    (
        "{source: {git: {url: 'ext::sh -c id'}}}",
        "https://, http:// or ssh:// URL",
    ),
    (
        "{source: {git: {url: 'ssh://-oProxyCommand=id/r'}}}",
        "https://, http:// or ssh:// URL",
    ),
    (
        "{source: {git: {url: 'ssh://git:pw@h/r'}}}",
        "without password or query",
    ),
    (
        "{source: {git: {url: '--upload-pack=x'}}}",
        "https://, http:// or ssh:// URL",
    ),
    (
        "{source: {git: {url: 'https://user:pw@h/r'}}}",
        "without password or query",
    ),
    (
        "{source: {git: {url: 'https://h/r?x=1'}}}",
        "without password or query",
    ),
    (
        "{source: {git: {url: 'https://h/r', branch: '-x'}}}",
        "branch or tag name",
    ),
    (
        "{source: {git: {url: 'https://h/r', branch: 'a..b'}}}",
        "branch or tag name",
    ),
    (
        "{source: {git: {url: 'https://h/r', branch: 'a b'}}}",
        "branch or tag name",
    ),
    (
        "{source: {git: {url: 'https://h/r', branch: 'refs/heads/main'}}}",
        "write 'main'",
    ),
    (
        "{source: {git: {url: 'https://h/r', branch: a, tag: b}}}",
        "at most one of branch, tag and commit",
    ),
    (
        "{source: {git: {url: 'https://h/r', commit: abc}}}",
        "40 lower-case hexadecimal digits",
    ),
    (
        "{source: {git: {url: 'https://h/r', path: /etc}}}",
        "relative to its root",
    ),
    (
        "{source: {git: {url: 'https://h/r', path: a/../..}}}",
        "without '..'",
    ),
    (
        "{source: {git: {url: 'https://h/r', interval: 1s}}}",
        "between 10s and 24h",
    ),
    (
        "{source: {git: {url: 'https://h/r', interval: soon}}}",
        "length of time",
    ),
    (
        "{source: {git: {url: 'https://h/r', secretRef: {name: Bad_Name}}}}",
        "name of an object",
    ),
    (
        "{source: {image: {reference: 'https://ghcr.io/a/b'}}}",
        "without scheme",
    ),
    ("{source: {image: {reference: 'a b'}}}", "image reference"),
    (
        "{source: {image: {reference: a}}, build: {timeout: 1s}}",
        "between 10s and 24h",
    ),
    (
        "{source: {image: {reference: a}}, build: {strategy: Magic}}",
        "Auto",
    ),
    (
        "{source: {image: {reference: a}}, build: {strategy: Dockerfile, command: make}}",
        "without a Dockerfile",
    ),
    (
        "{source: {image: {reference: a}}, build: {args: {'A-B': c}}}",
        "names of build arguments",
    ),
    (
        "{source: {image: {reference: a}}, build: {dockerfile: ../Dockerfile}}",
        "path inside the repository",
    ),
    (
        "{source: {image: {reference: a}}, run: {port: 0}}",
        "port between 1 and 65535",
    ),
    (
        "{source: {image: {reference: a}}, run: {port: 70000}}",
        "port between 1 and 65535",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: A}]}}",
        "exactly one of value and valueFrom",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: '1A', value: b}]}}",
        "not starting with a digit",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: PORT, value: '1'}]}}",
        "write run.port",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: A, valueFrom: {}}]}}",
        "exactly one of secretKeyRef",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: A, value: b}, {name: A, value: c}]}}",
        "Duplicate value",
    ),
    (
        "{source: {image: {reference: a}}, run: {env: [{name: A, valueFrom: {databaseRef: {name: db, key: root}}}]}}",
        "uri",
    ),
    (
        "{source: {image: {reference: a}}, run: {resources: {requests: {cpu: '0'}}}}",
        "amount above zero",
    ),
    (
        "{source: {image: {reference: a}}, run: {resources: {limits: {memory: lots}}}}",
        "amount above zero",
    ),
    (
        "{source: {image: {reference: a}}, run: {healthcheck: {path: healthz}}}",
        "starting with '/'",
    ),
    (
        "{source: {image: {reference: a}}, scale: {replicas: -1}}",
        "between 0 and 1000",
    ),
    (
        "{source: {image: {reference: a}}, expose: {public: false, domains: [{host: a.example.com}]}}",
        "domains need public",
    ),
    (
        "{source: {image: {reference: a}}, expose: {domains: [{host: 'http://a.example.com'}]}}",
        "host name",
    ),
    (
        "{source: {image: {reference: a}}, rollout: {historyLimit: 0}}",
        "between 1 and 100",
    ),
    (
        "{source: {image: {reference: a}}, rollout: {timeout: 10h}}",
        "between 10s and 2h",
    ),
    (
        "{source: {image: {reference: a}}, surce: {}}",
        "unknown field",
    ),
];

const PROJECTS: &[(&str, &str)] = &[
    ("{environments: []}", "at least one environment"),
    ("{environments: [{name: Prod}]}", "lower-case letters"),
    ("{environments: [{name: a}, {name: a}]}", "Duplicate value"),
    (
        "{members: [{name: 'system:admin', role: Owner}]}",
        "must not start with 'system:'",
    ),
    ("{members: [{name: ada, role: King}]}", "Owner"),
    (
        "{registry: {repository: 'https://r.example.com/a'}}",
        "without scheme",
    ),
    ("{domain: example}", "at least one dot"),
    ("{quota: {cpu: none}}", "amount above zero"),
];

const BUILDS: &[(&str, &str)] = &[
    (
        "{source: {git: {url: 'https://h/r', commit: main}}}",
        "40 lower-case hexadecimal digits",
    ),
    ("{source: {git: {url: 'https://h/r'}}}", "commit"),
];

const DEPLOYMENTS: &[(&str, &str)] = &[
    (
        "{service: web, image: 'a:latest', sequence: 1}",
        "by digest",
    ),
    ("{service: web, sequence: 1}", "image"),
];

#[test]
fn invalid_manifests_are_refused_with_a_sentence() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("invalid");
    let kinds = [
        ("Service", &*namespace, SERVICES),
        ("Database", &namespace, DATABASES),
        ("Project", "", PROJECTS),
        ("Build", &namespace, BUILDS),
        ("Deployment", &namespace, DEPLOYMENTS),
    ];
    let mut wrong = Vec::new();
    let mut count = 0;
    for (kind, namespace, cases) in kinds {
        for (spec, sentence) in cases {
            let place = if namespace.is_empty() {
                String::new()
            } else {
                format!(", namespace: {namespace}")
            };
            let manifest = format!(
                "apiVersion: trackbed.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: case{place}}}\nspec: {spec}\n"
            );
            let said = cluster.refused(&manifest);
            count += 1;
            if !said.contains(sentence) {
                wrong.push(format!(
                    "{kind} {spec}\n  should say: {sentence}\n  says: {said}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 40, "{count} manifests");
}

#[test]
fn names_are_held_to_what_fits_into_other_names() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("names");
    let long = "a".repeat(41);
    for name in [long.as_str(), "1web", "web.app"] {
        let said = cluster.refused(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{source: {{image: {{reference: a}}}}}}\n"
        ));
        assert!(said.contains("at most 40"), "{name}: {said}");
    }
}

#[test]
fn what_is_immutable_stays() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("immutable");
    let build = |commit: char, cancel: bool| {
        let commit = commit.to_string().repeat(40);
        format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Build\nmetadata: {{name: fixed, namespace: {namespace}}}\nspec: {{source: {{git: {{url: 'https://git.invalid/r', commit: '{commit}'}}}}, cancel: {cancel}}}\n"
        )
    };
    cluster.apply(&build('a', false));
    let said = cluster.refused(&build('b', false));
    assert!(said.contains("create another Build"), "{said}");
    cluster.apply(&build('a', true));
    let said = cluster.refused(&build('a', false));
    assert!(said.contains("stays cancelled"), "{said}");
}
