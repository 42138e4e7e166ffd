//! The Job of a build: what its containers get.

use super::*;

#[test]
fn it_starts_with_a_job_and_a_cache() {
    let mut seen = seen();
    seen.claim = false;
    check(
        &build(""),
        &seen,
        &expect![[r#"
        phase: Pending
        claim: web-build-cache
        job: web-3
        Ready=False Progressing: starts
    "#]],
    );
}

#[test]
fn the_job_gives_each_step_what_it_needs_and_no_more() {
    let object =
        build("  build: {args: {A: '$(echo) \"x\"'}, target: web, command: '--evil; rm -rf /'}\n");
    let mut config = Config::example();
    config.build.environment.https_proxy = Some("http://proxy:3128".to_owned());
    config.build.environment.ca_bundle = Some("PEM".to_owned());
    config.build.registry_mirror = Some("mirror:5000".to_owned());
    config.build.insecure_registries = vec!["mirror:5000".to_owned()];
    let mut object = object;
    object.spec.source.git.secret_ref = Some(trackbed_api::common::SecretReference {
        name: "login".into(),
    });
    let plan = plan(&object, &seen(), &config, now());
    let job = plan.children.job.expect("a Job");
    expect![[r#"
        activeDeadlineSeconds: 1260
        backoffLimit: 0
        template:
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/build: web-3
              trackbed.dev/project: shop
              trackbed.dev/role: build
              trackbed.dev/service: web
          spec:
            automountServiceAccountToken: false
            containers:
            - args:
              - push
              - --layout=/workspace/image
              - --origin=/workspace/origin.json
              - >-
                --image=registry.example.com/apps/shop/web:3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --result=/dev/termination-log
              - --patience=300
              - --invocation=shop-production/web-3
              - --auth-file=/etc/trackbed/registry/config.json
              - --ca-file=/etc/trackbed/environment/ca.crt
              command:
              - /trackbed
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              image: docker.io/trackbed/operator:1
              name: push
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 65532
                runAsNonRoot: true
                runAsUser: 65532
              volumeMounts:
              - mountPath: /workspace
                name: workspace
                readOnly: true
              - mountPath: /tmp
                name: tmp
              - mountPath: /etc/trackbed/registry
                name: registry
                readOnly: true
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
            enableServiceLinks: false
            initContainers:
            - args:
              - fetch
              - --url=https://git.example.com/acme/shop
              - --commit=3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --out=/workspace
              - --result=/dev/termination-log
              - --dockerfile=Dockerfile
              - --timeout=1200
              - --max-size=2Gi
              - --ref=refs/heads/main
              - --build=--evil; rm -rf /
              - --declare=BUNDLE_SSL_CA_CERT
              - --declare=CARGO_HTTP_CAINFO
              - --declare=COMPOSER_CAFILE
              - --declare=CURL_CA_BUNDLE
              - --declare=DENO_CERT
              - --declare=GIT_SSL_CAINFO
              - --declare=NODE_EXTRA_CA_CERTS
              - --declare=PIP_CERT
              - --declare=REQUESTS_CA_BUNDLE
              - --declare=SSL_CERT_FILE
              - --declare=YARN_HTTPS_PROXY
              - --declare=TRACKBED_CACHE
              - --argument=A
              - --credentials-dir=/etc/trackbed/git
              command:
              - /trackbed
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              - name: HOME
                value: /tmp
              image: docker.io/trackbed/operator:1
              name: fetch
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 65532
                runAsNonRoot: true
                runAsUser: 65532
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /tmp
                name: tmp
              - mountPath: /etc/trackbed/git
                name: git
                readOnly: true
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
            - args:
              - --context=dir:///workspace/context
              - --dockerfile=/workspace/Dockerfile
              - --no-push
              - --oci-layout-path=/workspace/image
              - >-
                --destination=registry.example.com/apps/shop/web:3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6
              - --force
              - --log-format=text
              - --image-download-retry=3
              - --compression=zstd
              - --ignore-path=/etc/trackbed
              - --target=web
              - --build-arg=A=$$(echo) "x"
              - --build-arg=BUNDLE_SSL_CA_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=CARGO_HTTP_CAINFO=/etc/trackbed/environment/ca.crt
              - --build-arg=COMPOSER_CAFILE=/etc/trackbed/environment/ca.crt
              - --build-arg=CURL_CA_BUNDLE=/etc/trackbed/environment/ca.crt
              - --build-arg=DENO_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=GIT_SSL_CAINFO=/etc/trackbed/environment/ca.crt
              - --build-arg=HTTPS_PROXY=http://proxy:3128
              - --build-arg=NODE_EXTRA_CA_CERTS=/etc/trackbed/environment/ca.crt
              - --build-arg=PIP_CERT=/etc/trackbed/environment/ca.crt
              - --build-arg=REQUESTS_CA_BUNDLE=/etc/trackbed/environment/ca.crt
              - --build-arg=SSL_CERT_FILE=/etc/trackbed/environment/ca.crt
              - --build-arg=YARN_HTTPS_PROXY=http://proxy:3128
              - --build-arg=https_proxy=http://proxy:3128
              - --registry-mirror=mirror:5000
              - --insecure-registry=mirror:5000
              - --insecure-pull
              - --cache=true
              - --cache-copy-layers=true
              - --cache-repo=oci:/cache/layers
              - --build-arg=TRACKBED_CACHE=/cache/programs
              - --compressed-caching=false
              command:
              - /workspace/trackbed
              - bases
              - --dockerfile=/workspace/Dockerfile
              - --cache-dir=/cache
              - --cache-max=4294967296
              - --target=web
              - --registry-mirror=mirror:5000
              - --insecure-registry=mirror:5000
              - --ca-file=/etc/trackbed/environment/ca.crt
              - /workspace/trackbed
              - unsynced
              - --result=/dev/termination-log
              - /kaniko/executor
              env:
              - name: HTTPS_PROXY
                value: http://proxy:3128
              - name: SSL_CERT_FILE
                value: /etc/trackbed/environment/ca.crt
              - name: FF_KANIKO_HASH_DIR_FRAMING
                value: "true"
              - name: FF_KANIKO_RESOLVE_CACHE_KEY
                value: "true"
              - name: FF_KANIKO_ROLLING_CACHE_KEY
                value: "true"
              - name: FF_KANIKO_SCOPED_DOCKERIGNORE
                value: "true"
              - name: FF_KANIKO_SKIP_WRITE_WHITEOUTS
                value: "true"
              image: example.com/kaniko/executor:v1
              name: build
              resources:
                limits:
                  cpu: "2"
                  ephemeral-storage: 20Gi
                  memory: 4Gi
                requests:
                  cpu: 250m
                  ephemeral-storage: "0"
                  memory: 512Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  add:
                  - CHOWN
                  - DAC_OVERRIDE
                  - FOWNER
                  - FSETID
                  - KILL
                  - MKNOD
                  - SETFCAP
                  - SETGID
                  - SETUID
                  drop:
                  - ALL
                runAsGroup: 0
                runAsUser: 0
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /etc/trackbed/environment
                name: environment
                readOnly: true
              - mountPath: /cache
                name: cache
            - args:
              - hand-over
              - --layout=/workspace/image
              - --result=/dev/termination-log
              - --cache-dir=/cache
              - --cache-max=4294967296
              command:
              - /trackbed
              image: docker.io/trackbed/operator:1
              name: hand-over
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 50m
                  memory: 64Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
                runAsGroup: 0
                runAsUser: 0
              volumeMounts:
              - mountPath: /workspace
                name: workspace
              - mountPath: /cache
                name: cache
            restartPolicy: Never
            securityContext:
              fsGroup: 65532
              fsGroupChangePolicy: OnRootMismatch
              seccompProfile:
                type: RuntimeDefault
            terminationGracePeriodSeconds: 5
            volumes:
            - emptyDir:
                sizeLimit: 20Gi
              name: workspace
            - emptyDir:
                sizeLimit: 20Gi
              name: tmp
            - name: git
              secret:
                defaultMode: 288
                secretName: login
            - name: registry
              secret:
                defaultMode: 288
                items:
                - key: .dockerconfigjson
                  path: config.json
                secretName: trackbed-registry-push
            - configMap:
                items:
                - key: ca.crt
                  path: ca.crt
                name: trackbed-build
              name: environment
            - name: cache
              persistentVolumeClaim:
                claimName: web-build-cache
    "#]].assert_eq(&serde_saphyr::to_string(&job.spec).expect("YAML"));
}

/// The names of the containers, in their order.
fn steps(seen: &Seen) -> Vec<String> {
    let plan = plan(&build(""), seen, &Config::example(), now());
    let job = plan.children.job.expect("a Job");
    let pod = job.spec.and_then(|it| it.template.spec).expect("a pod");
    let all = pod
        .init_containers
        .into_iter()
        .flatten()
        .chain(pod.containers);
    all.map(|it| it.name).collect()
}

#[test]
fn a_cache_that_nobody_trimmed_gets_room_first() {
    assert_eq!(steps(&seen()), ["fetch", "build", "hand-over", "push"]);
    let untrimmed = Seen {
        untrimmed: true,
        ..seen()
    };
    let steps_then = ["fetch", "make-room", "build", "hand-over", "push"];
    assert_eq!(steps(&untrimmed), steps_then);
    // Another build has the cache.
    let busy = Seen {
        busy: true,
        ..untrimmed
    };
    assert_eq!(steps(&busy), ["fetch", "build", "hand-over", "push"]);
}
