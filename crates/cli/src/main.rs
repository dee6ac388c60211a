//! The `ptsm` command.
#![allow(dead_code, unused_imports)]

mod html;
mod plot;

fn main() {}
