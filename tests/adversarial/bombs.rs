//! Components that are none, or that cost more to compile than they may.

use std::os::unix::process::ExitStatusExt;

use mainstay_protocol::{Sealed, ToWorker};
use mainstay_worker_tests::guest;
use mainstay_worker_tests::harness::{Setup, Worker};

/// What the compiler says of bytes that nobody would make by accident.
fn refusal(bytes: &[u8]) -> String {
    assert!(
        bytes.len() < 32 << 20,
        "the daemon reads none that is larger"
    );
    match Worker::compile(bytes) {
        Err(fault) => fault.message,
        Ok(code) => panic!("{} bytes of code", code.length()),
    }
}

/// A number as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &leb(content.len())[..], content].concat()
}

/// A section that is a list of the same.
fn list(id: u8, count: usize, item: &[u8]) -> Vec<u8> {
    section(id, &[leb(count), item.repeat(count)].concat())
}

/// A component with a module of these sections.
fn around(sections: &[Vec<u8>]) -> Vec<u8> {
    let module = [b"\0asm\x01\0\0\0", &sections.concat()[..]].concat();
    [b"\0asm\x0d\0\x01\0", &section(1, &module)[..]].concat()
}

#[test]
fn t14_components_in_components_are_refused_in_words() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..20_000 {
        bytes = [b"\0asm\x0d\0\x01\0", &section(4, &bytes)[..]].concat();
    }
    let said = refusal(&bytes);
    assert!(said.contains("levels of modules and components"), "{said}");
}

#[test]
fn t14_a_million_functions_are_refused_in_words() {
    const NOTHING: &[u8] = &[0x60, 0, 0];
    const EMPTY: &[u8] = &[2, 0, 0x0b];
    let with = |count| {
        let (types, functions) = (list(1, 1, NOTHING), list(3, count, &[0]));
        around(&[types, functions, list(10, count, EMPTY)])
    };
    let said = refusal(&with(1_000_000));
    assert!(said.contains("1000000 functions"), "{said}");
    Worker::compile(&with(1000)).unwrap();
}

#[test]
fn t14_a_million_types_are_refused_in_words() {
    let said = refusal(&around(&[list(1, 1_000_000, &[0x60, 0, 0])]));
    assert!(said.contains("1000000 types"), "{said}");
}

#[test]
fn t14_a_table_of_millions_of_branches_is_refused_in_words() {
    let with = |targets: usize| {
        let table = [&[0x41, 0, 0x0e], &leb(targets)[..], &vec![0; targets + 1]].concat();
        let body = [&[0][..], &table, &[0x0b]].concat();
        let code = section(10, &[&[1][..], &leb(body.len()), &body].concat());
        around(&[list(1, 1, &[0x60, 0, 0]), list(3, 1, &[0]), code])
    };
    let said = refusal(&with(5_000_000));
    assert!(said.contains("bytes in one function"), "{said}");
    Worker::compile(&with(1000)).unwrap();
}

#[test]
fn t14_a_thousand_modules_are_refused_in_words() {
    let module = section(1, b"\0asm\x01\0\0\0");
    let said = refusal(&[b"\0asm\x0d\0\x01\0", &module.repeat(100_000)[..]].concat());
    assert!(said.contains("modules and components"), "{said}");
}

/// What no count shows: the compiler ends at its limit, and nothing else does.
#[test]
fn t14_a_compiler_that_takes_all_its_memory_ends_alone() {
    // Each block brings values for all that follow, in every function: the memory is the compiler's.
    let mut compiler = Worker::start();
    let request = ToWorker::Compile {
        plugin: "p".to_owned(),
    };
    let blocks = [&[0x02, 0x40][..]; 60_000].concat();
    let mut body = vec![1];
    body.extend(leb(50_000));
    body.push(0x7f);
    body.extend(&blocks);
    for local in 0..60_000_usize {
        body.extend([0x41, 1, 0x21]);
        body.extend(leb(local % 50_000));
        body.extend([0x41, 0, 0x0d, 0, 0x0b]);
    }
    body.push(0x0b);
    let code = section(10, &[&[1][..], &leb(body.len()), &body].concat());
    let bomb = around(&[list(1, 1, &[0x60, 0, 0]), list(3, 1, &[0]), code]);
    compiler.send_with(&request, Sealed::of("test", &bomb).unwrap());
    // By abort(), when memory is refused; not by the machine, when there is none.
    assert_eq!(compiler.ended().signal(), Some(6));
}

#[test]
fn t14_ten_thousand_imports_are_refused_in_words() {
    let imports: String = (0..10_000)
        .map(|n| format!(r#"(import "a:b/c{n}" (instance))"#))
        .collect();
    let component = wat::parse_str(format!("(component {imports})")).unwrap();
    let faults = Setup::empty().plugin("p", &component).faults();
    assert_eq!(faults.len(), 1);
    let message = &faults[0].message;
    assert!(message.contains("count exceeds limit"), "{message}");
}

/// Each is refused in words and with a hint.
#[test]
fn t15_what_is_no_component_is_refused_in_words() {
    let whole = guest::healthy();
    let core = wat::parse_str("(module)").unwrap();
    let text = b"(component)".to_vec();
    let archive = b"\x1f\x8b\x08\0\0\0\0\0".to_vec();
    let mut corpus = vec![
        Vec::new(),
        vec![0; 1024],
        b"\x7fELF\x02\x01\x01".to_vec(),
        core,
        text,
        archive,
    ];
    // The magic number, and what follows it, one byte wrong each.
    corpus.extend((0..8).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        bytes
    }));
    // Cut off inside of every part of it.
    corpus.extend((1..30).map(|part| whole[..9 + (whole.len() - 10) * part / 30].to_vec()));
    assert!(corpus.len() >= 30);
    for bytes in corpus {
        let Err(fault) = Worker::compile(&bytes) else {
            panic!("{} bytes are a component: {bytes:x?}", bytes.len());
        };
        assert!(fault.message.contains("not a valid component"), "{fault:?}");
        assert!(fault.help.is_some(), "{fault:?}");
    }
}
