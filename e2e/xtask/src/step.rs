//! Progress as a person reads it: what is done, and how long it took.

use std::time::Instant;

use cluster::spoken;

use crate::error::Result;

/// Says that `what` begins, does it, and says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("• {what} …");
    let begun = Instant::now();
    let result = work();
    let took = spoken(begun.elapsed());
    match &result {
        Ok(_) => println!("  {what}: {took}"),
        Err(_) => println!("  {what}: failed after {took}"),
    }
    result
}
