//! Pods: of applications, of workers, and with volumes.

use expect_test::expect;

use crate::{RELEASE, SERVICE, check, children, children_of};

#[test]
fn the_workload() {
    check(
        &children(SERVICE, RELEASE).workload,
        &expect![[r#"
            apiVersion: apps/v1
            kind: Deployment
            metadata:
              annotations:
                trackbed.dev/order: "3.1"
              labels:
                app.kubernetes.io/managed-by: trackbed
                trackbed.dev/project: shop
                trackbed.dev/release: web-3
                trackbed.dev/role: app
                trackbed.dev/service: web
              name: web
              namespace: shop-production
            spec:
              minReadySeconds: 3
              progressDeadlineSeconds: 300
              replicas: 2
              revisionHistoryLimit: 2
              selector:
                matchLabels:
                  trackbed.dev/role: app
                  trackbed.dev/service: web
              strategy:
                rollingUpdate:
                  maxSurge: 25%
                  maxUnavailable: 0
                type: RollingUpdate
              template:
                metadata:
                  labels:
                    app.kubernetes.io/managed-by: trackbed
                    trackbed.dev/project: shop
                    trackbed.dev/release: web-3
                    trackbed.dev/role: app
                    trackbed.dev/service: web
                spec:
                  automountServiceAccountToken: false
                  containers:
                  - command:
                    - node
                    - server.js
                    env:
                    - name: PORT
                      value: "8080"
                    - name: PLAIN
                      value: costs $$(HOME)
                    - name: DATABASE_URL
                      valueFrom:
                        secretKeyRef:
                          key: uri
                          name: db-credentials
                    - name: API
                      value: http://api.shop-production.svc.cluster.local
                    - name: KEY
                      valueFrom:
                        secretKeyRef:
                          key: KEY
                          name: web-3-env
                    image: registry.example.com/apps/shop/web@sha256:aa
                    imagePullPolicy: IfNotPresent
                    lifecycle:
                      preStop:
                        sleep:
                          seconds: 5
                    livenessProbe:
                      failureThreshold: 6
                      httpGet:
                        path: /healthz
                        port: http
                        scheme: HTTP
                      periodSeconds: 10
                      timeoutSeconds: 10
                    name: app
                    ports:
                    - containerPort: 8080
                      name: http
                      protocol: TCP
                    readinessProbe:
                      failureThreshold: 3
                      httpGet:
                        path: /healthz
                        port: http
                        scheme: HTTP
                      periodSeconds: 5
                      timeoutSeconds: 5
                    resources:
                      limits:
                        cpu: 500m
                        memory: 512Mi
                      requests:
                        cpu: 100m
                        memory: 128Mi
                    securityContext:
                      allowPrivilegeEscalation: false
                      capabilities:
                        add:
                        - CHOWN
                        - DAC_OVERRIDE
                        - FOWNER
                        - KILL
                        - NET_BIND_SERVICE
                        - SETGID
                        - SETUID
                        drop:
                        - ALL
                    startupProbe:
                      failureThreshold: 150
                      httpGet:
                        path: /healthz
                        port: http
                        scheme: HTTP
                      periodSeconds: 2
                      timeoutSeconds: 5
                  enableServiceLinks: false
                  imagePullSecrets:
                  - name: trackbed-registry-pull
                  securityContext:
                    seccompProfile:
                      type: RuntimeDefault
                  terminationGracePeriodSeconds: 30
                  topologySpreadConstraints:
                  - labelSelector:
                      matchLabels:
                        trackbed.dev/role: app
                        trackbed.dev/service: web
                    maxSkew: 1
                    topologyKey: kubernetes.io/hostname
                    whenUnsatisfiable: ScheduleAnyway
        "#]],
    );
}

#[test]
fn a_worker_has_no_address_and_takes_one_away_only_once_it_runs() {
    let worker = RELEASE
        .replace("    healthcheck: {path: /healthz}\n", "    worker: true\n")
        .replace("env:\n", "env:\n    - {name: FIRST, value: a}\n");
    let runs = children(SERVICE, &worker);
    assert_eq!((&runs.service, &runs.ingress), (&None, &None));
    assert!(runs.prune);
    let pod = runs.workload.spec.expect("a spec").template.spec;
    let container = pod.expect("a pod").containers.remove(0);
    assert_eq!((container.ports, container.lifecycle), (None, None));
    assert_eq!(
        (container.startup_probe, container.readiness_probe),
        (None, None)
    );
    assert_eq!(container.env.expect("variables")[0].name, "FIRST");

    let comes = worker.replace(
        "phase: Active, activeSince: '2026-01-01T00:00:00Z'",
        "phase: Progressing, startTime: '2026-01-01T00:09:50Z'",
    );
    assert!(
        !children(SERVICE, &comes).prune,
        "the release before is reached by it"
    );
}

#[test]
fn volumes_stay_and_stop_the_pod_before_the_next_starts() {
    let service = SERVICE.replace("replicas: 2", "replicas: 1");
    let release = RELEASE.replace(
        "    command:",
        "    volumes: [{name: data, mountPath: /data, size: 2Gi}, {name: tmp, mountPath: /var/tmp, deletionPolicy: Delete}]\n    command:",
    );
    let children = children(&service, &release);
    check(
        &children.claims[0],
        &expect![[r#"
        apiVersion: v1
        kind: PersistentVolumeClaim
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web-vol-data
          namespace: shop-production
        spec:
          accessModes:
          - ReadWriteOnce
          resources:
            requests:
              storage: 2Gi
    "#]],
    );
    let owned = |index: usize| children.claims[index].metadata.owner_references.is_some();
    assert_eq!(
        (owned(0), owned(1)),
        (false, true),
        "what is kept has no owner"
    );
    let workload = children.workload.spec.expect("a spec");
    let pod = workload.template.spec.expect("a pod");
    check(
        &workload.strategy,
        &expect![[r#"
        type: Recreate
    "#]],
    );
    check(
        &pod.volumes,
        &expect![[r#"
        - name: data
          persistentVolumeClaim:
            claimName: web-vol-data
        - name: tmp
          persistentVolumeClaim:
            claimName: web-vol-tmp
    "#]],
    );
    check(
        &pod.containers[0].volume_mounts,
        &expect![[r#"
        - mountPath: /data
          name: data
        - mountPath: /var/tmp
          name: tmp
    "#]],
    );
}

#[test]
fn pods_are_replaced_when_credentials_of_their_database_were_changed() {
    let children = children_of(
        SERVICE,
        RELEASE,
        |_| (),
        |seen| {
            let at = "2026-01-01T00:05:00Z".parse().expect("a time");
            seen.rotated.insert("db".to_owned(), at);
        },
    );
    let template = children.workload.spec.expect("a spec").template;
    let metadata = template.metadata.expect("metadata");
    check(
        &metadata.annotations,
        &expect![[r#"
        trackbed.dev/credentials: db=2026-01-01T00:05:00Z
    "#]],
    );
}
