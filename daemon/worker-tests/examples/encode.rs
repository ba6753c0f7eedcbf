//! `encode MODULE.wat WORLD COMPONENT.wasm`: makes a component of a core module in text form.

use std::{env, fs};

use mainstay_worker_tests::guest;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, world, component] = arguments.as_slice() else {
        panic!("encode MODULE.wat WORLD COMPONENT.wasm");
    };
    let text = fs::read_to_string(module).unwrap();
    fs::write(component, guest::component(world, &text)).unwrap();
}
