//! What a release applies: YAML in (Service and release), YAML out, whole.

use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{Children, plan},
};
use trackbed_kit::Config;

const SERVICE: &str = "
metadata: {name: web, namespace: shop-production, uid: u-web}
spec:
  source: {git: {url: 'https://git.example.com/acme/shop'}}
  scale: {replicas: 2}
";
const RELEASE: &str = "
metadata: {name: web-3, namespace: shop-production, uid: u-web-3}
spec:
  service: web
  sequence: 3
  image: 'registry.example.com/apps/shop/web@sha256:aa'
  run:
    command: [node, server.js]
    env:
    - {name: PLAIN, value: 'costs $(HOME)'}
    - {name: DATABASE_URL, valueFrom: {databaseRef: {name: db}}}
    - {name: API, valueFrom: {serviceRef: {name: api}}}
    - {name: KEY, valueFrom: {secretKeyRef: {name: stripe, key: key}}}
    healthcheck: {path: /healthz}
status: {phase: Active, activeSince: '2026-01-01T00:00:00Z'}
";

fn children(service: &str, release: &str) -> Children {
    let release: trackbed_api::Deployment = serde_saphyr::from_str(release).expect("a release");
    let service = serde_saphyr::from_str(service).expect("a Service");
    let seen = Seen {
        place: Some(Place {
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        service: Some(Arc::new(service)),
        releases: vec![Arc::new(release.clone())],
        ..Seen::default()
    };
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a time");
    plan(&release, &seen, &Config::example(), now)
        .children
        .expect("the release that serves is applied")
}

fn check(object: &impl Serialize, expected: &Expect) {
    let mut value = serde_json::to_value(object).expect("JSON");
    strip(&mut value);
    expected.assert_eq(&serde_saphyr::to_string(&value).expect("YAML"));
}

/// What every object has alike says nothing here.
fn strip(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.remove("ownerReferences");
        map.values_mut().for_each(strip);
    }
}

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
                      key: key
                      name: stripe
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
fn the_address_inside_and_outside() {
    let children = children(SERVICE, RELEASE);
    check(
        &children.service,
        &expect![[r#"
        apiVersion: v1
        kind: Service
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          ports:
          - name: http
            port: 80
            protocol: TCP
            targetPort: http
          selector:
            trackbed.dev/role: app
            trackbed.dev/service: web
          type: ClusterIP
    "#]],
    );
    check(
        &children.ingress,
        &expect![[r#"
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          ingressClassName: traefik
          rules:
          - host: web-shop.apps.example.com
            http:
              paths:
              - backend:
                  service:
                    name: web
                    port:
                      number: 80
                path: /
                pathType: Prefix
    "#]],
    );
    check(
        &children.budget,
        &expect![[r#"
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          maxUnavailable: 1
          selector:
            matchLabels:
              trackbed.dev/role: app
              trackbed.dev/service: web
          unhealthyPodEvictionPolicy: AlwaysAllow
    "#]],
    );
}

#[test]
fn a_private_service_with_one_pod_has_no_more_than_it_needs() {
    let service = SERVICE.replace("replicas: 2", "replicas: 1") + "  expose: {public: false}\n";
    let children = children(&service, RELEASE);
    assert_eq!(children.ingress, None);
    assert_eq!(children.budget, None);
    assert!(children.prune, "what was there before is removed");
}

#[test]
fn an_application_with_cron_has_no_pods_but_runs() {
    let service = SERVICE.to_owned()
        + "  cron: {schedule: '*/5 * * * *', timeZone: Europe/Berlin, timeout: 10m, retries: 1}\n  suspend: true\n";
    let release = RELEASE.replace("    healthcheck: {path: /healthz}\n", "");
    let children = children(&service, &release);
    assert_eq!(children.service, None);
    assert_eq!(children.ingress, None);
    assert_eq!(children.budget, None);
    let workload = children.workload.spec.expect("a spec");
    assert_eq!(workload.replicas, Some(0));
    check(
        &children.cron,
        &expect![[r#"
        apiVersion: batch/v1
        kind: CronJob
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          concurrencyPolicy: Forbid
          failedJobsHistoryLimit: 3
          jobTemplate:
            metadata:
              labels:
                app.kubernetes.io/managed-by: trackbed
                trackbed.dev/project: shop
                trackbed.dev/release: web-3
                trackbed.dev/role: cron
                trackbed.dev/service: web
            spec:
              activeDeadlineSeconds: 600
              backoffLimit: 1
              template:
                metadata:
                  labels:
                    app.kubernetes.io/managed-by: trackbed
                    trackbed.dev/project: shop
                    trackbed.dev/release: web-3
                    trackbed.dev/role: cron
                    trackbed.dev/service: web
                spec:
                  automountServiceAccountToken: false
                  containers:
                  - command:
                    - node
                    - server.js
                    env:
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
                          key: key
                          name: stripe
                    image: registry.example.com/apps/shop/web@sha256:aa
                    imagePullPolicy: IfNotPresent
                    name: cron
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
                  enableServiceLinks: false
                  imagePullSecrets:
                  - name: trackbed-registry-pull
                  restartPolicy: Never
                  securityContext:
                    seccompProfile:
                      type: RuntimeDefault
                  terminationGracePeriodSeconds: 30
          schedule: "*/5 * * * *"
          startingDeadlineSeconds: 300
          successfulJobsHistoryLimit: 3
          suspend: true
          timeZone: Europe/Berlin
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
fn a_number_of_pods_that_follows_the_load() {
    let scaled = |scale: &str| {
        children(
            &SERVICE.replace("scale: {replicas: 2}", &format!("scale: {scale}")),
            RELEASE,
        )
    };
    let plain = scaled("{replicas: 1, min: 2, max: 10}");
    let workload = plain.workload.spec.expect("a spec");
    assert_eq!(workload.replicas, Some(2), "not below the least");
    check(
        &plain.scaler,
        &expect![[r#"
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          behavior:
            scaleDown:
              policies:
              - periodSeconds: 60
                type: Percent
                value: 50
              selectPolicy: Max
              stabilizationWindowSeconds: 300
            scaleUp:
              policies:
              - periodSeconds: 15
                type: Percent
                value: 100
              selectPolicy: Max
              stabilizationWindowSeconds: 60
          maxReplicas: 10
          metrics:
          - resource:
              name: cpu
              target:
                averageUtilization: 70
                type: Utilization
            type: Resource
          - resource:
              name: memory
              target:
                averageUtilization: 80
                type: Utilization
            type: Resource
          minReplicas: 2
          scaleTargetRef:
            apiVersion: trackbed.dev/v1alpha1
            kind: Service
            name: web
    "#]],
    );
    let own = scaled(
        "{replicas: 30, max: 20, cpu: 50, behavior: {scaleDown: {stabilizationWindow: 0s, percent: 100, period: 15s}}}",
    );
    assert_eq!(own.workload.spec.expect("a spec").replicas, Some(20));
    let spec = own.scaler.expect("an autoscaler").spec.expect("a spec");
    check(
        &spec.metrics,
        &expect![[r#"
        - resource:
            name: cpu
            target:
              averageUtilization: 50
              type: Utilization
          type: Resource
    "#]],
    );
    check(
        &spec.behavior,
        &expect![[r#"
        scaleDown:
          policies:
          - periodSeconds: 15
            type: Percent
            value: 100
          selectPolicy: Max
          stabilizationWindowSeconds: 0
        scaleUp:
          policies:
          - periodSeconds: 15
            type: Percent
            value: 100
          selectPolicy: Max
          stabilizationWindowSeconds: 60
    "#]],
    );
    let off = scaled("{replicas: 0, max: 20}");
    assert_eq!(off.workload.spec.expect("a spec").replicas, Some(0));
    assert_eq!(scaled("{replicas: 3}").scaler, None);
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
