;; The golden component without an SDK: all exports, and a call of every stable interface.
(module
  (import "mainstay:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32 i32 i32)))
  (import "mainstay:plugin/budget@0.1.0" "remaining-ms" (func $remaining (result i32)))
  (import "mainstay:plugin/process@0.1.0" "count" (func $count (param i32 i32 i32 i32)))
  (import "mainstay:plugin/probe@0.1.0" "tcp-connect"
    (func $connect (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "mainstay:plugin/fifo@0.1.0" "write" (func $pipe (param i32 i32 i32 i32 i32)))
  (import "mainstay:plugin/http@0.1.0" "fetch" (func $fetch (param i32 i32)))
  (import "mainstay:plugin/secrets@0.1.0" "get" (func $secret (param i32 i32 i32)))
  (import "mainstay:plugin/state@0.1.0" "get" (func $state (param i32 i32 i32)))
  (import "mainstay:plugin/routers@0.1.0" "all" (func $routers (param i32)))
  (import "mainstay:plugin/services@0.1.0" "all" (func $services (param i32)))

  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 2048))
  (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  (data (i32.const 0) "golden")
  (data (i32.const 8) "127.0.0.1")
  (data (i32.const 32) "plain0.1.0calls everything")

  ;; Adds a digit to the message at 512: 0 for an answer, 1 for an error. Results stand at 768.
  (global $said (mut i32) (i32.const 512))
  (func $say
    (i32.store8 (global.get $said) (i32.add (i32.const 48) (i32.load8_u (i32.const 768))))
    (global.set $said (i32.add (global.get $said) (i32.const 1))))

  (func (export "mainstay:plugin/check@0.1.0#run") (param i32) (result i32)
    (call $log (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 0))
    (drop (call $remaining))
    (call $count (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 768))
    (call $say)
    (call $connect
      (i32.const 8) (i32.const 9) (i32.const 9)
      (i32.const 1000) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 768))
    (call $say)
    (call $pipe (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 6) (i32.const 768))
    (call $say)
    ;; A request of zeros, on the second page.
    (call $fetch (i32.const 65536) (i32.const 768))
    (call $say)
    (call $secret (i32.const 0) (i32.const 6) (i32.const 768))
    (call $say)
    (call $state (i32.const 0) (i32.const 6) (i32.const 768))
    (call $say)
    (call $routers (i32.const 768))
    (call $say)
    (call $services (i32.const 768))
    (call $say)
    ;; ok(report): healthy, the message.
    (i32.store offset=16 (i32.const 1024) (i32.const 512))
    (i32.store offset=20 (i32.const 1024) (i32.sub (global.get $said) (i32.const 512)))
    (i32.const 1024))

  (func (export "mainstay:plugin/hook@0.1.0#on-event") (param i32) (result i32)
    (call $log (i32.const 2) (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 0))
    (i32.const 1024))

  (func (export "mainstay:plugin/lifecycle@0.1.0#describe") (result i32)
    (i32.store (i32.const 1024) (i32.const 32)) (i32.store (i32.const 1028) (i32.const 5))
    (i32.store (i32.const 1032) (i32.const 37)) (i32.store (i32.const 1036) (i32.const 5))
    (i32.store (i32.const 1040) (i32.const 42)) (i32.store (i32.const 1044) (i32.const 16))
    (i32.const 1024))

  (func (export "mainstay:plugin/lifecycle@0.1.0#validate") (param i32 i32) (result i32)
    (i32.const 1024)))
