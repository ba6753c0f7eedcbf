//! The kernel's own links and addresses, in a network namespace.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Barrier};
use std::thread;

use mainstay_core::input::{Address, Failure, Mark, Snapshot};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::socket::{NetlinkAddr, getsockname};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::lab::{self, Hand, PATIENCE};

/// The code under test, running.
struct Running {
    requests: mpsc::Sender<Request>,
    inputs: mpsc::UnboundedReceiver<Input>,
    task: JoinHandle<Result<(), RouteError>>,
    actions: u64,
}

impl Running {
    fn start(receive_buffer: usize) -> Self {
        let (requests, receiver) = mpsc::channel(8);
        let (deliver, inputs) = mpsc::unbounded_channel();
        let task = tokio::spawn(run_with(
            receiver,
            move |input| {
                let _ = deliver.send(input);
            },
            receive_buffer,
        ));
        Self {
            requests,
            inputs,
            task,
            actions: 0,
        }
    }

    async fn next(&mut self) -> Input {
        let next = timeout(PATIENCE, self.inputs.recv()).await;
        next.expect("no more inputs come").expect("it has ended")
    }

    /// The inputs up to the first that fits.
    async fn until(&mut self, fits: impl Fn(&Input) -> bool) -> Vec<Input> {
        let mut inputs = Vec::new();
        loop {
            inputs.push(self.next().await);
            if inputs.last().is_some_and(&fits) {
                return inputs;
            }
        }
    }

    async fn snapshot(&mut self) -> Snapshot {
        match self
            .until(|input| matches!(input, Input::Snapshot(_)))
            .await
            .pop()
        {
            Some(Input::Snapshot(snapshot)) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    /// What comes up to the end of the action, and how that ended.
    async fn execute(&mut self, effect: Effect) -> (Vec<Input>, Result<(), Failure>) {
        self.actions += 1;
        let action = ActionId(self.actions);
        self.requests
            .send(Request { action, effect })
            .await
            .unwrap();
        let mut inputs = self
            .until(|input| matches!(input, Input::Completed { .. }))
            .await;
        match inputs.pop() {
            Some(Input::Completed { action: of, result }) if of == action => (inputs, result),
            other => panic!("{other:?}"),
        }
    }

    async fn stop(self) {
        drop(self.requests);
        self.task.await.unwrap().unwrap();
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// 10.7.0.1/16 and on.
fn many(count: u32) -> Vec<Prefix> {
    let first = u32::from_be_bytes([10, 7, 0, 1]);
    (first..first + count)
        .map(|bits| Prefix::new(bits.into(), 16).unwrap())
        .collect()
}

fn added(inputs: &[Input]) -> Vec<Address> {
    let added = inputs.iter().filter_map(|input| match input {
        Input::Address(address) => Some(*address),
        _ => None,
    });
    added.collect()
}

fn gone(inputs: &[Input]) -> Vec<Prefix> {
    let gone = inputs.iter().filter_map(|input| match input {
        Input::AddressGone { prefix, .. } => Some(*prefix),
        _ => None,
    });
    gone.collect()
}

fn prefixes(addresses: &[Address]) -> Vec<Prefix> {
    addresses.iter().map(|address| address.prefix).collect()
}

/// Adds addresses without giving way to anything else on this thread.
fn add_at_once(interface: InterfaceIndex, addresses: &[Prefix]) {
    let mut datagram = Vec::new();
    for prefix in addresses {
        let flags = NLM_F_REQUEST | NLM_F_CREATE;
        message::append(&mut datagram, message::add(interface, *prefix), flags, 1);
    }
    send_at_once(&datagram);
}

fn remove_at_once(interface: InterfaceIndex, prefix: Prefix) {
    let mut datagram = Vec::new();
    let request = message::remove(interface, prefix);
    message::append(&mut datagram, request, NLM_F_REQUEST, 1);
    send_at_once(&datagram);
}

fn send_at_once(datagram: &[u8]) {
    let socket = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
    let kernel = netlink_sys::SocketAddr::new(0, 0);
    assert_eq!(
        socket.send_to(datagram, &kernel, 0).unwrap(),
        datagram.len()
    );
}

#[test]
fn first_comes_a_snapshot_of_all_that_is_there() {
    lab::run_async("first_comes_a_snapshot_of_all_that_is_there", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let left = hand.index("left").await;
        hand.add(left, prefix("10.0.0.1/24")).await;
        hand.add(left, prefix("10.0.0.2/24")).await;
        let mut route = Running::start(RECEIVE_BUFFER);
        let Input::Snapshot(snapshot) = route.next().await else {
            panic!("something else came first");
        };
        let mut names: Vec<_> = snapshot
            .links
            .iter()
            .map(|link| link.name.as_str())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["left", "lo", "right"]);
        for link in &snapshot.links {
            assert_eq!(link.mac.is_some(), link.name != "lo", "{link:?}");
            assert_eq!(link.running, link.name != "lo", "{link:?}");
        }
        assert_eq!(
            prefixes(&snapshot.addresses),
            [prefix("10.0.0.1/24"), prefix("10.0.0.2/24")]
        );
        assert_eq!(
            snapshot
                .addresses
                .iter()
                .map(|address| address.secondary)
                .collect::<Vec<_>>(),
            [false, true]
        );
        assert!(
            snapshot
                .addresses
                .iter()
                .all(|address| address.mark == Mark::Other)
        );
        route.stop().await;
    });
}

#[test]
fn an_action_completes_after_all_that_it_changed_was_told() {
    lab::run_async(
        "an_action_completes_after_all_that_it_changed_was_told",
        || async {
            let hand = Hand::new();
            hand.cable("left", "right").await;
            let interface = hand.index("left").await;
            let mut route = Running::start(RECEIVE_BUFFER);
            route.snapshot().await;
            let addresses = many(1000);

            let (inputs, result) = route
                .execute(Effect::AddAddresses {
                    interface,
                    addresses: addresses.clone(),
                })
                .await;
            assert_eq!(result, Ok(()));
            assert_eq!(prefixes(&added(&inputs)), addresses);
            assert!(
                added(&inputs)
                    .iter()
                    .all(|address| address.mark == Mark::Ours)
            );
            let there = hand.addresses(interface).await;
            assert_eq!(there.len(), 1000);
            assert!(there.iter().all(|(_, mark)| *mark == Mark::Ours));

            let (inputs, result) = route
                .execute(Effect::RemoveAddresses {
                    interface,
                    addresses: addresses.clone(),
                })
                .await;
            assert_eq!(result, Ok(()));
            let mut gone = gone(&inputs);
            assert_eq!(
                gone.last(),
                addresses.first(),
                "the primary address goes last"
            );
            gone.sort_unstable();
            assert_eq!(gone, addresses);
            assert_eq!(hand.addresses(interface).await, []);
            route.stop().await;
        },
    );
}

#[test]
fn a_thousand_addresses_are_no_thousand_round_trips() {
    lab::run_async(
        "a_thousand_addresses_are_no_thousand_round_trips",
        || async {
            let route = Route {
                connection: Connection::open(RECEIVE_BUFFER).unwrap(),
                table: Table::default(),
                deliver: |_| (),
            };
            let change = Change::from(Effect::AddAddresses {
                interface: InterfaceIndex(2),
                addresses: many(1000),
            });
            let datagrams = route.datagrams(&change, route.longest().unwrap());
            // One, where the receive buffer may be as large as it should.
            assert!(datagrams.len() <= 4, "{}", datagrams.len());
            assert_eq!(datagrams.iter().map(Vec::len).sum::<usize>(), 1000);
        },
    );
}

#[test]
fn only_the_kernel_is_believed() {
    lab::run_async("only_the_kernel_is_believed", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        let mut connection = Connection::open(RECEIVE_BUFFER).unwrap();
        let port = getsockname::<NetlinkAddr>(connection.as_fd().as_raw_fd())
            .unwrap()
            .pid();
        let mut forged = Vec::new();
        let address = message::add(interface, prefix("192.0.2.1/24"));
        message::append(&mut forged, address, 0, 0);
        let forger = netlink_sys::Socket::new(NETLINK_ROUTE).unwrap();
        let to = netlink_sys::SocketAddr::new(port, 0);
        assert_eq!(forger.send_to(&forged, &to, 0).unwrap(), forged.len());
        add_at_once(interface, &[prefix("10.0.0.1/24")]);
        let Incoming::Messages(messages) = connection.receive().await.unwrap() else {
            panic!("an overrun by two messages");
        };
        let believed = messages.iter().map(|message| match message.body {
            Body::Address { prefix, .. } => prefix,
            ref other => panic!("{other:?}"),
        });
        assert_eq!(believed.collect::<Vec<_>>(), [prefix("10.0.0.1/24")]);
    });
}

#[test]
fn what_is_so_already_is_no_error() {
    lab::run_async("what_is_so_already_is_no_error", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        hand.add(interface, prefix("10.0.0.1/24")).await;
        let mut route = Running::start(RECEIVE_BUFFER);
        route.snapshot().await;

        let addresses = vec![
            prefix("10.0.0.1/24"),
            prefix("10.0.0.2/24"),
            prefix("10.0.0.1/24"),
        ];
        let effect = Effect::AddAddresses {
            interface,
            addresses: addresses.clone(),
        };
        let (inputs, result) = route.execute(effect).await;
        assert_eq!(result, Ok(()));
        assert_eq!(prefixes(&added(&inputs)), [prefix("10.0.0.2/24")]);
        let marks: Vec<_> = hand
            .addresses(interface)
            .await
            .iter()
            .map(|(_, mark)| *mark)
            .collect();
        assert_eq!(
            marks,
            [Mark::Other, Mark::Ours],
            "another's address stays another's"
        );

        let remove = Effect::RemoveAddresses {
            interface,
            addresses,
        };
        let (inputs, result) = route.execute(remove.clone()).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            gone(&inputs),
            [prefix("10.0.0.2/24"), prefix("10.0.0.1/24")]
        );
        let (inputs, result) = route.execute(remove).await;
        assert_eq!((inputs, result), (Vec::new(), Ok(())));
        route.stop().await;
    });
}

#[test]
fn what_fails_says_why_and_the_rest_is_done() {
    lab::run_async("what_fails_says_why_and_the_rest_is_done", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        let mut route = Running::start(RECEIVE_BUFFER);
        route.snapshot().await;

        let (_, result) = route
            .execute(Effect::AddAddresses {
                interface: InterfaceIndex(4711),
                addresses: vec![prefix("10.0.0.1/24"), prefix("10.0.0.2/24")],
            })
            .await;
        let failure = result.unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENODEV));
        assert_eq!(
            failure.message,
            "cannot add 10.0.0.1/24 to interface 4711: No such device (os error 19) (1 more failed)"
        );
        let (_, result) = route
            .execute(Effect::RemoveAddresses {
                interface: InterfaceIndex(4711),
                addresses: vec![prefix("10.0.0.1/24")],
            })
            .await;
        assert_eq!(result, Ok(()));

        // The next request does not suffer from it.
        let (inputs, result) = route
            .execute(Effect::AddAddresses {
                interface,
                addresses: many(3),
            })
            .await;
        assert_eq!((added(&inputs).len(), result), (3, Ok(())));
        route.stop().await;
    });
}

#[test]
fn an_interface_goes_down_up_under_another_name_and_away() {
    let name = "an_interface_goes_down_up_under_another_name_and_away";
    lab::run_async(name, || async {
        let hand = Hand::new();
        let mut route = Running::start(RECEIVE_BUFFER);
        route.snapshot().await;
        hand.cable("left", "right").await;
        let left = hand.index("left").await;
        let is = move |wanted: &'static str, running: bool| {
            move |input: &Input| match input {
                Input::Link(link) => {
                    link.index == left && link.name == wanted && link.running == running
                }
                _ => false,
            }
        };
        route.until(is("left", true)).await;
        hand.down("right").await;
        route.until(is("left", false)).await;
        hand.up("right").await;
        route.until(is("left", true)).await;
        hand.down("left").await;
        route.until(is("left", false)).await;
        hand.rename(left, "other").await;
        route.until(is("other", false)).await;
        hand.up("other").await;
        route.until(is("other", true)).await;
        hand.add(left, prefix("10.0.0.1/24")).await;
        hand.remove_link(left).await;
        let inputs = route.until(|input| *input == Input::LinkGone(left)).await;
        assert_eq!(gone(&inputs), [prefix("10.0.0.1/24")]);
        route.stop().await;
    });
}

#[test]
fn a_primary_address_does_not_take_others_along() {
    lab::run_async("a_primary_address_does_not_take_others_along", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        for name in ["all", "left"] {
            let path = format!("/proc/sys/net/ipv4/conf/{name}/promote_secondaries");
            fs::write(path, "0").unwrap();
        }
        let mut route = Running::start(RECEIVE_BUFFER);
        route.snapshot().await;
        let ours = vec![prefix("10.0.0.100/24"), prefix("10.0.1.100/24")];
        let add = Effect::AddAddresses {
            interface,
            addresses: ours.clone(),
        };
        route.execute(add).await.1.unwrap();
        hand.add(interface, prefix("10.0.0.1/24")).await;
        hand.add(interface, prefix("10.0.0.2/24")).await;

        let remove = Effect::RemoveAddresses {
            interface,
            addresses: ours.clone(),
        };
        let (inputs, result) = route.execute(remove).await;
        assert_eq!(result, Ok(()));
        let there = hand.addresses(interface).await;
        let there: Vec<_> = there
            .iter()
            .map(|(address, _)| address.to_string())
            .collect();
        assert_eq!(there, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(gone(&inputs), ours);
        let promoted = added(&inputs)
            .into_iter()
            .find(|address| !address.secondary);
        assert_eq!(
            promoted.map(|address| address.prefix),
            Some(prefix("10.0.0.1/24"))
        );
        let setting = fs::read_to_string("/proc/sys/net/ipv4/conf/left/promote_secondaries");
        assert_eq!(setting.unwrap(), "0\n", "the setting is as it was");
        route.stop().await;
    });
}

#[test]
fn after_an_overrun_comes_a_new_snapshot() {
    lab::run_async("after_an_overrun_comes_a_new_snapshot", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        let mut route = Running::start(2048);
        assert_eq!(route.snapshot().await.addresses, []);
        // More than the buffer holds, while nobody reads.
        let addresses = many(300);
        add_at_once(interface, &addresses);
        let snapshot = route.snapshot().await;
        assert_eq!(prefixes(&snapshot.addresses), addresses);
        // And it goes on.
        hand.add(interface, prefix("10.0.0.1/24")).await;
        let inputs = route
            .until(|input| matches!(input, Input::Address(_)))
            .await;
        assert_eq!(prefixes(&added(&inputs)), [prefix("10.0.0.1/24")]);
        route.stop().await;
    });
}

#[test]
fn after_an_overrun_the_kernel_is_silent_until_all_was_read() {
    let name = "after_an_overrun_the_kernel_is_silent_until_all_was_read";
    lab::run_async(name, || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        let mut connection = Connection::open(2048).unwrap();
        add_at_once(interface, &many(100));
        let first = connection.receive().await.unwrap();
        assert!(matches!(first, Incoming::Overrun), "{first:?}");
        connection.discard_waiting().unwrap();
        add_at_once(interface, &[prefix("10.0.0.1/24")]);
        let Incoming::Messages(messages) = connection.receive().await.unwrap() else {
            panic!("still overrun");
        };
        assert!(
            matches!(messages[0].body, Body::Address { prefix: of, .. } if of == prefix("10.0.0.1/24")),
            "{messages:?}"
        );
    });
}

/// However it changes while it is listed, what is known in the end is what is there.
#[test]
fn a_list_made_while_everything_changes_is_right_in_the_end() {
    const ROUNDS: u32 = 200;
    let name = "a_list_made_while_everything_changes_is_right_in_the_end";
    lab::run_async(name, || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let interface = hand.index("left").await;
        // Many that stay, so that a list takes its time.
        add_at_once(interface, &many(200));
        let restless: Vec<Prefix> = (1..=40)
            .map(|last| Prefix::new([10, 8, 0, last].into(), 32).unwrap())
            .collect();
        let barrier = Arc::new(Barrier::new(2));
        let there = Arc::clone(&barrier);
        let fire = thread::spawn(move || {
            for round in 0..ROUNDS {
                there.wait();
                for prefix in &restless {
                    if round % 2 == 0 {
                        add_at_once(interface, &[*prefix]);
                    } else {
                        remove_at_once(interface, *prefix);
                    }
                }
                there.wait();
            }
        });
        for round in 0..ROUNDS {
            // Every other time in a buffer that is too small.
            let buffer = if round / 2 % 2 == 0 {
                RECEIVE_BUFFER
            } else {
                4096
            };
            let mut connection = Connection::open(buffer).unwrap();
            barrier.wait();
            let mut table = connection.list().await.unwrap();
            barrier.wait();
            let [.., high, low] = round.to_be_bytes();
            let last = Prefix::new([10, 9, high, low].into(), 32).unwrap();
            add_at_once(interface, &[last]);
            while table.address(interface, last).is_none() {
                match connection.receive().await.unwrap() {
                    Incoming::Messages(messages) => {
                        for message in messages {
                            table.apply(message.body);
                        }
                    }
                    Incoming::Overrun => table = connection.list().await.unwrap(),
                }
            }
            let truth = Connection::open(RECEIVE_BUFFER)
                .unwrap()
                .list()
                .await
                .unwrap();
            assert_eq!(table.snapshot(), truth.snapshot(), "round {round}");
        }
        fire.join().unwrap();
    });
}

#[test]
fn an_action_completes_although_its_answers_are_dropped() {
    lab::run_async(
        "an_action_completes_although_its_answers_are_dropped",
        || async {
            let hand = Hand::new();
            hand.cable("left", "right").await;
            let interface = hand.index("left").await;
            let mut route = Running::start(2048);
            route.snapshot().await;
            let addresses = many(300);
            let add = Effect::AddAddresses {
                interface,
                addresses: addresses.clone(),
            };
            let (inputs, result) = route.execute(add).await;
            assert_eq!(result, Ok(()));
            let last = inputs.iter().rev().find_map(|input| match input {
                Input::Snapshot(snapshot) => Some(prefixes(&snapshot.addresses)),
                _ => None,
            });
            assert!(last.is_some(), "the buffer was not too small");
            assert_eq!(hand.addresses(interface).await.len(), 300);
            route.stop().await;
        },
    );
}

#[test]
fn release_takes_what_is_ours_and_nothing_else() {
    lab::run_async("release_takes_what_is_ours_and_nothing_else", || async {
        let hand = Hand::new();
        hand.cable("left", "right").await;
        let left = hand.index("left").await;
        let right = hand.index("right").await;
        add_at_once(left, &[prefix("10.0.0.100/24"), prefix("10.0.0.101/24")]);
        add_at_once(right, &[prefix("10.0.2.100/24")]);
        hand.add(left, prefix("10.0.1.1/24")).await;
        hand.down("right").await;
        hand.rename(right, "renamed").await;
        let entries = [
            ("left".to_owned(), prefix("10.0.0.100/24")),
            ("left".to_owned(), prefix("10.0.1.1/24")),
            ("left".to_owned(), prefix("10.0.3.1/24")),
            ("right".to_owned(), prefix("10.0.2.100/24")),
            ("nowhere".to_owned(), prefix("10.0.3.1/24")),
        ];
        let removals = remove_listed(&entries).await.unwrap();
        let outcomes: Vec<_> = removals
            .into_iter()
            .map(|removal| removal.outcome)
            .collect();
        assert_eq!(
            outcomes,
            [
                Outcome::Removed,
                Outcome::NotOurs,
                Outcome::Absent,
                Outcome::Removed,
                Outcome::Absent,
            ]
        );
        let there = hand.addresses(left).await;
        let there: Vec<_> = there
            .iter()
            .map(|(address, _)| address.to_string())
            .collect();
        assert_eq!(
            there,
            ["10.0.1.1", "10.0.0.101"],
            "what is not listed stays"
        );
        assert_eq!(hand.addresses(right).await, []);
    });
}
