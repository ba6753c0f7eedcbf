use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::lab::{self, Hand, Namespace};
use mainstay_core::address::Prefix;

/// Whether ping sockets may be opened in this namespace.
fn allow_ping(allowed: bool) {
    let range = if allowed { "0 4294967294" } else { "1 0" };
    fs::write("/proc/sys/net/ipv4/ping_group_range", range).unwrap();
}

async fn within_patience(to: impl Into<IpAddr>) -> io::Result<Duration> {
    let echo = echo(to.into(), None, None);
    tokio::time::timeout(lab::PATIENCE, echo).await.unwrap()
}

#[test]
fn both_kinds_of_sockets_get_replies_of_both_families() {
    lab::run_async(
        "both_kinds_of_sockets_get_replies_of_both_families",
        || async {
            Hand::new().up("lo").await;
            for allowed in [true, false] {
                allow_ping(allowed);
                let nobody = Request::new(true, [0; 18]);
                let form = open(Ipv4Addr::LOCALHOST.into(), &nobody).unwrap().1;
                assert_eq!(form == Form::Ping, allowed);
                within_patience(Ipv4Addr::LOCALHOST).await.unwrap();
                within_patience(Ipv6Addr::LOCALHOST).await.unwrap();
            }
        },
    );
}

#[test]
fn many_at_once_get_each_their_own_reply() {
    lab::run_async("many_at_once_get_each_their_own_reply", || async {
        Hand::new().up("lo").await;
        allow_ping(false);
        let echoes = (0..50).map(|_| tokio::spawn(within_patience(Ipv4Addr::LOCALHOST)));
        for echo in echoes.collect::<Vec<_>>() {
            echo.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    lab::run_async("a_host_that_is_not_there_is_unreachable", || async {
        let (hand, other) = (Hand::new(), Namespace::new());
        // What the kernel has to say comes over the loopback.
        hand.up("lo").await;
        let (here, _) = hand.cable_to(&other, "here", "there").await;
        let network = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).unwrap();
        hand.add(here, network).await;
        for allowed in [true, false] {
            allow_ping(allowed);
            let error = within_patience(Ipv4Addr::new(10, 0, 0, 9))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::HostUnreachable, "{error}");
            let error = within_patience(Ipv4Addr::new(10, 9, 9, 9))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable, "{error}");
        }
    });
}

#[test]
fn the_source_is_the_one_that_was_asked_for() {
    lab::run_async("the_source_is_the_one_that_was_asked_for", || async {
        Hand::new().up("lo").await;
        for allowed in [true, false] {
            allow_ping(allowed);
            let source = Some(Ipv4Addr::new(127, 0, 0, 9).into());
            let ear = lab::Ear::new();
            let asked = echo(Ipv4Addr::LOCALHOST.into(), source, Some(7));
            tokio::time::timeout(lab::PATIENCE, asked)
                .await
                .unwrap()
                .unwrap();
            // Behind 14 bytes of Ethernet and 12 of the IP header, in a frame of ICMP.
            ear.hear(|frame| frame[23] == 1 && frame[26..30] == [127, 0, 0, 9]);
            let nobody = Some(Ipv4Addr::new(192, 0, 2, 1).into());
            let error = echo(Ipv4Addr::LOCALHOST.into(), nobody, None)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        }
    });
}
