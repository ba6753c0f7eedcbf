//! A third life of a worker: it tells what one component is made of and by, and ends. Nothing of the
//! component is run, and nothing but its outline is read.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

use mainstay_protocol::carrier::Carrier;
use mainstay_protocol::{Anatomy, FromWorker, Sealed, frame};
use mainstay_sandbox as sandbox;
use wasmparser::{BinaryReaderError, KnownCustom, Parser, Payload, ProducersSectionReader};

use crate::session::SessionError;
use crate::text::one_line;

/// Producers kept.
const PRODUCERS: usize = 64;
/// The longest name and version of one, in bytes.
const TEXT: usize = 64;

/// Looks at the component and answers.
///
/// # Errors
/// [`SessionError`] when the component cannot be read or the answer not be given.
pub(crate) fn answer(stream: Carrier<UnixStream>, component: &Sealed) -> Result<(), SessionError> {
    for missing in sandbox::enter_to_compile()? {
        eprintln!("mainstay-worker: confined, but for this: {missing}");
    }
    // What is no component is for the compiler to say.
    let anatomy = examine(&component.to_vec()?).unwrap_or_default();
    let answer = frame::encode(&FromWorker::Examined(anatomy))?;
    stream.send(&answer, None)?;
    Ok(())
}

fn examine(component: &[u8]) -> Result<Anatomy, BinaryReaderError> {
    let mut anatomy = Anatomy::default();
    let mut producers = BTreeSet::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } => anatomy.modules = anatomy.modules.saturating_add(1),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory?;
                    let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
                    anatomy.memories = anatomy.memories.saturating_add(1);
                    anatomy.memory_bytes = anatomy
                        .memory_bytes
                        .saturating_add(memory.initial.saturating_mul(page));
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    anatomy.tables = anatomy.tables.saturating_add(1);
                    anatomy.table_elements =
                        anatomy.table_elements.saturating_add(table?.ty.initial);
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Producers(fields) = section.as_known() {
                    // One that cannot be read says nothing.
                    let _ = add(&mut producers, fields);
                }
            }
            _ => {}
        }
    }
    anatomy.producers = producers.into_iter().collect();
    Ok(anatomy)
}

fn add(
    producers: &mut BTreeSet<(String, String, String)>,
    fields: ProducersSectionReader<'_>,
) -> Result<(), BinaryReaderError> {
    for field in fields {
        let field = field?;
        for value in field.values {
            let value = value?;
            if producers.len() < PRODUCERS {
                let [field, name, version] =
                    [field.name, value.name, value.version].map(|text| one_line(text, TEXT));
                producers.insert((field, name, version));
            }
        }
    }
    Ok(())
}
