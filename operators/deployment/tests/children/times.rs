//! What changes by the clock or the load.

use expect_test::expect;

use crate::{RELEASE, SERVICE, check, children};

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
                              key: KEY
                              name: web-3-env
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
