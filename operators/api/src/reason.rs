//! The closed set of reasons. A reason is a condition's `reason`, an Event's `reason` and a metric
//! label at once, and stands in `docs/failures.md` with its way out, which is generated from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether Trackbed tries again without anybody changing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No: the next change starts over.
    No,
    /// Yes, after a pause.
    Yes,
    /// At every interval of the source.
    AtIntervals,
}

macro_rules! reasons {
    ($($area:ident $title:literal { $(
        $(#[doc = $doc:literal])+
        $name:ident: retryable = $retryable:literal, again = $again:ident, help = $help:literal;
    )+ })+) => {
        /// Why something failed or waits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason { $($($(#[doc = $doc])+ $name),+),+ }

        /// What a reason is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Area { $(#[doc = $title] $area),+ }

        impl Area {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Area] = &[$(Area::$area),+];

            /// As a heading.
            pub fn title(self) -> &'static str {
                match self { $(Area::$area => $title),+ }
            }
        }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$($(Reason::$name),+),+];

            /// The reason as it stands in conditions, Events and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $($(Reason::$name => stringify!($name)),+),+ }
            }

            /// What it is about.
            pub fn area(self) -> Area {
                match self { $($(Reason::$name => Area::$area),+),+ }
            }

            /// Whether the same thing tried again may succeed without anybody changing anything.
            pub fn retryable(self) -> bool {
                match self { $($(Reason::$name => $retryable),+),+ }
            }

            /// Whether it is tried again.
            pub fn again(self) -> Again {
                match self { $($(Reason::$name => Again::$again),+),+ }
            }

            /// What it means, one sentence or two.
            pub fn explanation(self) -> &'static str {
                match self { $($(Reason::$name => concat!($($doc, " "),+).trim_ascii()),+),+ }
            }

            /// What it means and what to do, in Markdown.
            pub fn help(self) -> &'static str {
                match self { $($(Reason::$name => $help),+),+ }
            }
        }

        impl std::str::FromStr for Reason {
            type Err = UnknownReason;
            fn from_str(text: &str) -> Result<Self, UnknownReason> {
                match text { $($(stringify!($name) => Ok(Reason::$name),)+)+ _ => Err(UnknownReason) }
            }
        }
    };
}

/// The text is no reason that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason;

impl std::fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unknown reason")
    }
}

impl std::error::Error for UnknownReason {}

reasons! {
    Source "Source" {
        /// The repository's host says that there is no such repository (or hides it without credentials).
        RepositoryNotFound: retryable = false, again = AtIntervals,
            help = "The host says there is no such repository, or hides it without credentials. Check `source.git.url`; for a private one name a Secret in `source.git.secretRef`.";
        /// The host refused the credentials, or asks for some and none are given.
        AuthenticationFailed: retryable = false, again = AtIntervals,
            help = "The host refused the credentials, or asks for some. Write a Secret of type `kubernetes.io/basic-auth` with `username` and `password` (an access token serves as password), or of type `kubernetes.io/ssh-auth` with `ssh-privatekey` and `known_hosts` for ssh, or mend the one that is named.";
        /// The repository has no such branch or tag.
        RefNotFound: retryable = false, again = AtIntervals,
            help = "The repository has no such branch or tag. The message names what comes close. Push it, or change `source.git.branch`.";
        /// The repository has no such commit, or the server does not hand it out.
        CommitNotFound: retryable = false, again = No,
            help = "The repository has no such commit, or its server does not hand it out. After a force-push the next look finds the new one.";
        /// The repository's host cannot be reached.
        HostUnreachable: retryable = true, again = Yes,
            help = "The host does not answer: name resolution, network or TLS. A host that stays silent is asked less and less often, up to every ten minutes.";
        /// The repository's host, or its way here, is too slow.
        SourceTimeout: retryable = true, again = Yes,
            help = "The host, or the way to it, is too slow: nothing came for a minute, or the commit did not arrive within `build.timeout`.";
        /// The ssh host shows a key that is not among those of `known_hosts`.
        HostKeyMismatch: retryable = false, again = AtIntervals,
            help = "The ssh host shows a key that `known_hosts` in the Secret does not have. If the host did change its key, replace the lines by those that `ssh-keyscan HOST` prints, after comparing them with what the host publishes. Otherwise somebody stands in between.";
        /// The repository's host redirects to another address, and credentials do not go there.
        RedirectRefused: retryable = false, again = AtIntervals,
            help = "The host redirects to another address, and a credential goes only where it was given for. Write the address that it redirects to into `source.git.url`: often the same with `.git` at its end, or https.";
        /// What the commit says of its submodules cannot be used.
        SubmoduleInvalid: retryable = false, again = No,
            help = "What the commit says of its submodules cannot be used; the message says what.";
        /// Files of the application are kept by Git LFS, which is not supported.
        LfsNotSupported: retryable = false, again = No,
            help = "Files of the application are kept by Git LFS. Put them into the repository itself, or fetch them in `build.command`.";
        /// The URL is not one that Trackbed fetches from.
        InvalidUrl: retryable = false, again = No,
            help = "Trackbed fetches by https, http and ssh, without a password in the URL.";
        /// The repository is larger than the operator's limit.
        RepositoryTooLarge: retryable = false, again = No,
            help = "The commit needs more than `build.repositoryLimit` of the operator's settings. Remove large files from it.";
        /// The image or its tag does not exist in the registry.
        ImageNotFound: retryable = false, again = AtIntervals,
            help = "The registry has no such image or tag.";
        /// The forge does not take what is said of a commit.
        CommitStatusRefused: retryable = true, again = Yes,
            help = "Only in the condition `CommitStatusPosted` of a Service: the forge does not take what `source.git.statuses` has it told. Give a token that may write commit statuses, and name the forge in `source.git.statuses.forge` where its host's name does not say it.";
        /// A Secret that the operator needs is missing or has not the keys it must have.
        SecretInvalid: retryable = true, again = Yes,
            help = "A Secret is missing, lacks a key, or has a certificate that is of no use. The message says which.";
    }
    Build "Build" {
        /// The folder of `source.git.path` is not in the commit.
        PathNotFound: retryable = false, again = No,
            help = "The folder of `source.git.path` is not in the commit.";
        /// The file of `build.dockerfile` is not in the commit.
        DockerfileNotFound: retryable = false, again = No,
            help = "The file of `build.dockerfile` is not in the commit, and `build.strategy` insists on it.";
        /// There is no Dockerfile, and no language is recognised.
        NoLanguageDetected: retryable = false, again = No,
            help = "There is no Dockerfile, and no language is recognised. The message lists what was found and what would have been recognised.";
        /// What is given as a command, or the files that say how to build, cannot be used.
        InvalidBuildPlan: retryable = false, again = No,
            help = "The files that say how to build cannot be used; the message says which and why.";
        /// A line of the Dockerfile failed.
        BuildFailed: retryable = false, again = No,
            help = "A line of the Dockerfile failed. `kubectl describe tbuild NAME` has the last lines of its log, also when the pod is long gone.";
        /// A base image of the Dockerfile cannot be pulled.
        BaseImageUnavailable: retryable = false, again = No,
            help = "A base image of the Dockerfile cannot be pulled: check its name, and the mirror in the operator's settings.";
        /// The build was killed for want of memory.
        OutOfMemory: retryable = false, again = No,
            help = "The build needed more memory than `build.resources.limits.memory`. Raise it.";
        /// The build used up its disk.
        DiskFull: retryable = false, again = No,
            help = "The source, the image and what the build writes need more than the build's disk, or its node, has. Leave out what is not needed, build in stages, or ask the platform's administrators for a higher `build.diskLimit`.";
        /// The build did not end within its timeout.
        BuildTimeout: retryable = false, again = No,
            help = "The build took longer than `build.timeout`. Raise it, or look in the log for what it waited for.";
        /// The build's pod was evicted or its node went away.
        Evicted: retryable = true, again = Yes,
            help = "The node went away or put the build out.";
        /// The build was cancelled.
        Cancelled: retryable = false, again = No,
            help = "`spec.cancel` was set. The next commit is built again.";
        /// A newer commit took over.
        Superseded: retryable = false, again = No,
            help = "A newer commit made the build pointless.";
        /// The registry refused the push credentials.
        RegistryUnauthorized: retryable = false, again = No,
            help = "The registry refused the push. Mend the Secret that the operator's settings, or the Project's `registry.secretRef`, name: builds have it within ten minutes.";
        /// The registry cannot be reached or answers with an error of its own.
        RegistryUnavailable: retryable = true, again = Yes,
            help = "The registry that the image goes to, or the one of a base image, does not answer, or answers with an error of its own. The message says which and how.";
        /// The registry has no room for the image.
        RegistryQuotaExceeded: retryable = false, again = No,
            help = "The registry's quota, or its disk, is used up. Remove images, or raise it; then build again.";
        /// The registry refused the image.
        PushRejected: retryable = false, again = No,
            help = "The registry refused the image itself: a quota, a policy, a name it does not allow.";
        /// The Job of the build vanished or cannot be run.
        BuildJobFailed: retryable = true, again = Yes,
            help = "The build's Job vanished or cannot be run. The message has the cluster's words.";
    }
    Release "Release" {
        /// A Secret, ConfigMap, Database or Service that the configuration refers to does not exist yet.
        ReferenceMissing: retryable = true, again = Yes,
            help = "A Secret, ConfigMap, Database, Service or Deployment that the spec names is not there. The message names it; the release goes on as soon as it is.";
        /// The release that is to be promoted has not served where it comes from.
        NotPromotable: retryable = true, again = Yes,
            help = "The Deployment that `source.promotion` names has not served in its environment yet, or none has. It is promoted as soon as it has.";
        /// The command of `run.preDeploy` failed.
        PreDeployFailed: retryable = false, again = No,
            help = "The command of `run.preDeploy` ended with another exit code than 0. The Deployment keeps its last lines; no pod of the release was started.";
        /// The command of `run.preDeploy` took too long.
        PreDeployTimeout: retryable = false, again = No,
            help = "The command of `run.preDeploy` did not end within `run.preDeploy.timeout`, and was ended. Make it shorter, or raise that.";
        /// The application ends or crashes right after its start.
        CrashLoop: retryable = false, again = No,
            help = "The application ends right after its start. The Deployment keeps its exit code and last words.";
        /// The application was killed for want of memory.
        AppOutOfMemory: retryable = false, again = No,
            help = "The application needed more than `run.resources.limits.memory`.";
        /// The release's image cannot be pulled.
        ImagePullFailed: retryable = true, again = Yes,
            help = "The nodes cannot pull the image: credentials, or a registry that the nodes do not reach by that name.";
        /// The application runs, but does not answer on its port or health check.
        NotListening: retryable = false, again = No,
            help = "The application runs, but does not answer on `run.port` (or `run.healthcheck.path`). It must listen on `$PORT`, on all addresses.";
        /// A quota or policy of the namespace refuses the pods.
        QuotaExceeded: retryable = true, again = Yes,
            help = "The Project's quota, or a policy of the namespace, refuses the pods. Raise `quota` of the Project, or ask for less.";
        /// No node has room for the pods.
        Unschedulable: retryable = true, again = Yes,
            help = "No node has room. Ask for less, or add nodes.";
        /// The container cannot be started as configured.
        ContainerConfigError: retryable = false, again = No,
            help = "The container cannot be started as configured; the message has the kubelet's words.";
        /// The pods were not available within the rollout's timeout.
        RolloutTimeout: retryable = false, again = No,
            help = "The new pods were not available within `rollout.timeout`.";
    }
    Network "Hosts" {
        /// Another Service has the host.
        HostClaimed: retryable = true, again = Yes,
            help = "Another Service has the host, or one that overlaps with it (`*.example.com`); the message names it. It becomes free when that Service gives it up.";
        /// The Project's Services may not have the host.
        HostNotAllowed: retryable = false, again = No,
            help = "The host belongs to the platform or to another Project's domain, or is not in `allowedDomains` of the Project. Ask the platform team to add it there.";
        /// The certificate of a host is not issued yet.
        CertificatePending: retryable = true, again = Yes,
            help = "cert-manager has not issued the certificate of a host yet; the message has its own words. For a host of your own the DNS has to point here first: `status.hosts` says what to enter.";
        /// The certificate of a host could not be issued.
        CertificateFailed: retryable = true, again = Yes,
            help = "cert-manager could not issue (or renew) the certificate of a host; the message has its own words, `kubectl describe certificate NAME` the rest. It tries again by itself, less and less often.";
        /// The cluster has no cert-manager.
        CertificatesUnavailable: retryable = false, again = No,
            help = "Certificates are asked for, and the cluster has no cert-manager: install it and restart the operator, or remove `tls.issuer`.";
        /// No load balancer has given the Service an address.
        AddressPending: retryable = true, again = Yes,
            help = "The Service asks for an address of a load balancer (`expose.tcp`), and the cluster has not given it one. A cluster without load balancers never does: install one (MetalLB, for example), or set `expose.tcp.type: NodePort`.";
        /// A Gateway refuses the route of a host.
        RouteNotAccepted: retryable = true, again = Yes,
            help = "The Gateway that the host is routed by does not take its route; the message has the Gateway's own words. Most often its listener does not allow routes of this namespace, or has another host: that is the platform team's.";
    }
    Database "Database" {
        /// The volume holds the data of another database.
        DataBelongsToAnother: retryable = false, again = No,
            help = "The volume holds the data of another Database. Nothing is touched. Give the Database another name, or remove the claim `NAME-data` if its data are not wanted.";
        /// The server does not know a parameter, or does not take its value.
        InvalidParameter: retryable = false, again = No,
            help = "The server does not know a parameter, or does not take its value; the message names it, and what was probably meant. A server that runs goes on with the parameters that it had.";
        /// There were data, and the volume is empty now.
        DataMissing: retryable = false, again = No,
            help = "There were data and the volume is empty. Nothing is initialised over the loss: restore the volume, or remove the Secret `NAME-credentials` to begin anew on purpose. Of several servers of Redis or Valkey, others may have the data: [redis.md](redis.md#when-all-were-away-and-the-primary-does-not-come-back).";
        /// The volume holds data of another major version.
        MajorVersionMismatch: retryable = false, again = No,
            help = "The volume holds data of another major version. Set `version` back.";
        /// The SQL that a database is to begin with does not run.
        InitFailed: retryable = false, again = Yes,
            help = "The SQL of `init` is not there, or does not run; the message has the server's words, and nothing of it stays. Correct the ConfigMap, or name another: it is tried again whenever the pod starts, at least every five minutes.";
        /// The server's image does not have an extension.
        ExtensionUnavailable: retryable = false, again = No,
            help = "Only in the condition `DatabasesReady`: the server's image does not have an extension of `databases`, or the server cannot create it; the message names it, and the log of the server's pod, or of the Job `…-databases-…` of several servers, has the server's words. Everything else works. Take it out of the list, or correct its name: `select name from pg_available_extensions` lists those that there are.";
        /// A database is there already, and belongs to another user.
        DatabaseOwnerDiffers: retryable = false, again = No,
            help = "Only in the condition `DatabasesReady`: a database of `databases` is there already and belongs to another user, whom the message names. Nothing is changed in it. Take the entry out of the list, and put it back with that `owner`.";
        /// Several servers are asked for, and nobody here runs them.
        CloudNativePgMissing: retryable = false, again = No,
            help = "Several `replicas` are run by CloudNativePG, and the cluster does not have it. Have the platform team install it and restart the operator, which looks for it when it starts; or create the Database with one.";
        /// One of several servers is not up.
        ReplicasMissing: retryable = true, again = Yes,
            help = "Not all servers of the Database are up. The others serve; how many may still fail the message says. Of Postgres, `kubectl describe cluster.postgresql.cnpg.io` of that name has CloudNativePG's words.";
        /// An archive is asked for, and nobody here keeps it.
        BarmanCloudMissing: retryable = false, again = No,
            help = "An archive is kept by CloudNativePG's plugin Barman Cloud, and the cluster does not have it. Have the platform team install it and restart the operator, which looks for it when it starts; or remove `archive`, and use `backup`.";
        /// The log does not reach the archive.
        ArchiveFailed: retryable = true, again = Yes,
            help = "The server's log, or the copy of all data that it goes with, does not reach the archive; the message says why. It is tried again by itself. Until then the log stays on the volume, which it fills: mend the bucket, its Secret or the network, or remove `archive`.";
        /// The moment that a new database begins with is not in the archive.
        RestoreTimeUnavailable: retryable = false, again = No,
            help = "The archive does not have the moment of `restore.time`; the message says which ones it has. Correct it.";
        /// The database server does not start.
        DatabaseNotReady: retryable = true, again = Yes,
            help = "The server does not start or does not answer. The message has its last words.";
        /// The volume cannot be provided.
        VolumePending: retryable = true, again = Yes,
            help = "The volume is not provided: no such storage class, or no room.";
        /// Stored credentials are missing while data exist.
        CredentialsMissing: retryable = false, again = No,
            help = "Data exist and the Secret with their password does not. Restore the Secret `NAME-credentials`.";
        /// The volume is full, and the server cannot write.
        StorageFull: retryable = false, again = No,
            help = "The volume is full, and the server cannot write. Raise `storage.size`; where the class cannot grow volumes, make room, or move the data to a Database with a larger one. The server goes on by itself.";
        /// The storage class cannot grow the volume.
        StorageCannotGrow: retryable = false, again = No,
            help = "The storage class cannot expand volumes, or a quota refuses it; what uses the volume runs on. A Database's `storage.size` can be set back to `status.storage`; a volume of a Service is taken out of it, and put in again with the size that it has.";
        /// No newer image of the server could be found.
        UpdateFailed: retryable = true, again = Yes,
            help = "A newer image of the server was looked for in vain; the message says why. The server runs on as it is. It is tried again when it is time for the next, or when `updates.request` gets another text.";
        /// A backup could not be taken.
        BackupFailed: retryable = true, again = Yes,
            help = "The last backup could not be taken; the message says why. Those of before are untouched. It is tried again when it is time for the next, or when `backup.request` gets another text.";
        /// A backup took longer than it may.
        BackupTimeout: retryable = true, again = Yes,
            help = "A backup, with the restore that proves it, took longer than `backup.timeout`. Raise it.";
        /// A backup was taken, and did not come back whole when it was restored to prove it.
        BackupUnverified: retryable = true, again = Yes,
            help = "The last backup was taken, and the restore that was to prove it failed; the message says why. Rely on the one of `status.backup.lastVerified`.";
        /// There is no such backup.
        BackupMissing: retryable = false, again = No,
            help = "There is no such backup at the destination. `status.backup.newest` of the Database has the names of those that there are.";
        /// A backup is of another database.
        BackupForeign: retryable = false, again = No,
            help = "The backup is of another Database, and was not read. Name one of this Database.";
        /// A backup's data are shorter than they were written.
        BackupTruncated: retryable = false, again = No,
            help = "The data of the backup are shorter than they were. Use another, and find out what happened to the destination.";
        /// A backup's data are not those that were written.
        BackupTampered: retryable = false, again = No,
            help = "The data of the backup are not those that were written. Use another, and find out who or what can write to the destination.";
        /// A backup is none that this version can read.
        BackupUnreadable: retryable = false, again = No,
            help = "What lies there is no backup that this version can read.";
        /// A backup is encrypted, and no key that is given fits.
        BackupKeyMissing: retryable = false, again = No,
            help = "The backup is encrypted, and no key that is given fits. Put the key that the message names into the Secret of `encryption.secretRef`, below the others.";
        /// A backup's destination refuses the credentials.
        BackupRefused: retryable = true, again = Yes,
            help = "The destination refuses the credentials, or does not let them write. Mend the Secret that `secretRef` names, or the bucket's rules.";
        /// A backup's destination cannot be reached.
        DestinationUnreachable: retryable = true, again = Yes,
            help = "The destination of backups does not answer, or its bucket does not exist.";
        /// A backup's destination cannot be as it is described.
        DestinationInvalid: retryable = false, again = No,
            help = "The destination of backups cannot be as it is described; the message says what is wrong, and its Secret may lack a key.";
        /// A backup's destination has no room.
        DestinationFull: retryable = true, again = Yes,
            help = "The destination of backups has no room. Raise `backup.destination.volume.size`, keep fewer by `backup.retain`, or make room in the bucket.";
        /// A backup is larger than its destination takes.
        BackupTooLarge: retryable = false, again = No,
            help = "The backup is larger than an object in a bucket may be.";
        /// The backup that a new database begins with could not be restored.
        RestoreFailed: retryable = true, again = Yes,
            help = "The backup could not be restored; the message says why, and nothing was written. Correct `restore`: it is tried again whenever it changes. Without `restore` the Database begins empty.";
    }
    Project "Project and everything" {
        /// A namespace of that name exists and does not belong to this Project.
        NamespaceConflict: retryable = false, again = No,
            help = "A namespace of that name exists and is not this Project's. It is never taken over: rename the Project or environment, or label the namespace with `trackbed.dev/project` and `trackbed.dev/environment` to hand it over.";
        /// The object stands in a namespace that belongs to no Project.
        NamespaceNotManaged: retryable = false, again = No,
            help = "The object stands in a namespace that belongs to no Project.";
        /// An object of that name exists and belongs to somebody else.
        NameConflict: retryable = false, again = No,
            help = "An object of a name that Trackbed needs exists and is somebody else's.";
        /// The API server refused what Trackbed derived from the spec.
        Rejected: retryable = false, again = No,
            help = "The API server refused what follows from the spec: an admission policy, usually. The message has its words.";
        /// Namespaces or data are kept, and deletion waits for a person.
        DeletionBlocked: retryable = false, again = No,
            help = "Data are kept and the deletion waits for a person. The message says for what.";
        /// A bug of Trackbed. The operator's log has more.
        InternalError: retryable = true, again = Yes,
            help = "A bug of Trackbed, or rights that were taken from it. The operator's log has more.";
        /// The API server or another service does not answer at the moment.
        Transient: retryable = true, again = Yes,
            help = "The API server does not answer at the moment.";
    }
}

/// Reasons of conditions that report no failure.
pub mod progress {
    /// Everything is as the spec asks for.
    pub const READY: &str = "Ready";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// The object is suspended on purpose.
    pub const SUSPENDED: &str = "Suspended";
    /// Waits for something that the message names.
    pub const WAITING: &str = "Waiting";
    /// The object is being deleted.
    pub const TERMINATING: &str = "Terminating";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_and_explains_itself() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            let sentence = |text: &str| text.ends_with('.') || text.ends_with(')');
            assert!(sentence(reason.explanation()), "{reason:?}");
            assert!(sentence(reason.help()), "{reason:?}");
            assert!(
                !reason.help().contains('|'),
                "{reason:?}: it stands in a table"
            );
        }
    }
}
