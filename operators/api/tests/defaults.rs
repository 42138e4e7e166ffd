//! What is left out means the same to the API server and to Rust.

use serde::de::DeserializeOwned;
use std::fmt::Debug;
use trackbed_api::{
    build::BuildSettings,
    database::Storage,
    expose::Expose,
    run::{Healthcheck, RunSpec},
    scale::Scale,
    service::Rollout,
};

fn check<T: DeserializeOwned + Default + PartialEq + Debug>() {
    let empty: T = serde_json::from_str("{}").expect("everything has a default");
    assert_eq!(T::default(), empty);
}

#[test]
fn an_empty_object_is_the_default() {
    check::<BuildSettings>();
    check::<RunSpec>();
    check::<Healthcheck>();
    check::<Scale>();
    check::<Expose>();
    check::<Rollout>();
    check::<Storage>();
}
