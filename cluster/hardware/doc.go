// Package hardware is the catalogue of what models are trained on: devices,
// the machines that hold them, and the links between them, as data with a
// source and a grade for every number.
//
// A [Cluster] is a [Device] repeated up to MaxDevices times, and a chain of
// [Domain]s, innermost first. A device is what one rank drives: a die on
// Ascend 910C (two per card), a GPU, a whole MI300X, this machine's CPU. A
// domain is a set of devices that reach each other over the same kind of
// link: the two dies of a card, the eight GPUs of a node, the 384 cards of a
// supernode, everything. Devices are numbered so that the domains nest:
// device d is in domain d/Size of each level.
//
// All links are per device and one way. All rates are per second, in bytes or
// floating-point operations; a multiply-add is two operations. Peaks are
// dense, never with sparsity.
//
// [Load] takes the name of an entry or the path of a YAML file of the same
// form, so that a user's own cluster is described as ours are:
//
//	name: lab
//	base: h100              # start from this entry, change what differs
//	device:
//	  memory: 94 GB
//	domains:
//	  - name: node          # a name of the base keeps what is not given here
//	  - name: scale-out
//	    bandwidth: 200 Gb/s # b is bits, B is bytes
//	    nics: 8
//	    nic_bandwidth: 200 Gb/s
//	max_devices: 512
//	price: 2.10 USD/h
//
// A value is written with its unit. Instead of a value there may be a mapping
// with its evidence, as everywhere in the catalogue:
//
//	memory: {value: 94 GB, grade: official, source: the vendor's datasheet}
//
// Everything is decoded strictly: an unknown key, a wrong unit, a cluster that
// cannot exist is refused with its line, the rule, and the nearest legal
// value.
package hardware
