//! What becomes of data when their Database goes.

use trackbed_api::Database;
use trackbed_database::plan::deletion::{Data, data};

fn database(policy: &str, confirmed: &str) -> Database {
    let text = format!(
        "metadata: {{name: db, namespace: shop-production, annotations: {{trackbed.dev/confirm-deletion: '{confirmed}'}}}}\nspec: {{engine: Redis, version: '7', deletionPolicy: {policy}}}\n"
    );
    serde_saphyr::from_str(&text).expect("a Database")
}

#[test]
fn data_go_by_two_acts_or_with_their_namespace() {
    let plain = "{labels: {trackbed.dev/project: shop}}";
    let preview = "{labels: {trackbed.dev/project: shop, trackbed.dev/preview-of: staging}}";
    let goes = "{deletionTimestamp: '2026-01-01T00:00:00Z', labels: {trackbed.dev/project: shop}}";
    for (policy, confirmed, metadata, expected) in [
        ("Retain", "", plain, Data::Kept),
        ("Retain", "db", plain, Data::Kept),
        ("Delete", "", plain, Data::Unconfirmed),
        ("Delete", "another", plain, Data::Unconfirmed),
        ("Delete", "db", plain, Data::GivenUp),
        ("Delete", "", preview, Data::GivenUp),
        ("Retain", "", preview, Data::Kept),
        ("Delete", "db", goes, Data::WithNamespace),
        ("Retain", "", goes, Data::WithNamespace),
    ] {
        let namespace = serde_saphyr::from_str(&format!("metadata: {metadata}\n"));
        let namespace = namespace.expect("a namespace");
        let found = data(&database(policy, confirmed), Some(&namespace));
        assert_eq!(found, expected, "{policy} {confirmed:?} {metadata}");
    }
    assert_eq!(data(&database("Delete", "db"), None), Data::WithNamespace);
}
