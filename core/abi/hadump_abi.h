/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the agent in dom0, the guest's kernel module and the tools agree on: names, numbers, limits
 * and the layout of the save area. docs/spec/save-area.md and docs/spec/dump-node.md say what they
 * mean; this file mirrors them. Kernel C and C++ both include it, so it uses nothing but fixed-width
 * integers and macros.
 *
 * All integers of the save area are little-endian (x86 only); those of the dump node big-endian.
 * All ranges are (start, length) in bytes.
 */
#ifndef HADUMP_ABI_H
#define HADUMP_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
#endif

#define HADUMP_ABI_VERSION 1

/* Memory is handed back to Linux in memory blocks of at least this size (x86-64, below 64 GiB of
 * RAM at boot). The agent plans held ranges in whole ones of these; see docs/spec/save-area.md. */
#define HADUMP_BLOCK_SIZE (128ULL << 20)
/* Save area and copies start at this alignment, so that both sides can use large mappings. */
#define HADUMP_SAVE_ALIGN (2ULL << 20)
/* Type of held memory and save area in the booted guest's memory map (Xen: "disabled"). Not 5, see
 * docs/spec/save-area.md. */
#define HADUMP_MEMMAP_HELD 6U

/* ---- limits: everything beyond is refused ---- */
#define HADUMP_MAX_NODE_SIZE (2U << 20)    /* bytes of the whole flattened tree */
#define HADUMP_MAX_NODE_PROPERTIES 64U     /* of all nodes of the tree together */
#define HADUMP_MAX_PROPERTY_NAME 63U       /* characters of a property's name */
/* Entries of any range list in the node. A guest that has used its balloon for long has its holes
 * anywhere; Linux reads /proc/vmcore's headers up to 4 MiB, and e_phnum up to 65534. */
#define HADUMP_MAX_RANGES 65000U
#define HADUMP_MAX_BOOT_REGIONS 8U         /* as many as fadump's RMR sections */
#define HADUMP_MAX_VCPUS 4096U
#define HADUMP_MAX_ADDRESS (1ULL << 46)    /* 64 TiB of guest-physical space */
#define HADUMP_MIN_WINDOW (64ULL << 20)
#define HADUMP_MAX_VMCOREINFO (64U << 10)  /* bytes of the note */

/* ---- kernel command line: "hadump.node=0x<guest-physical address of the dump node>" ---- */
#define HADUMP_PARAM_NODE "hadump.node"
/* ---- "hadump.held=...": what the agent has taken off the command line; docs/abi/cmdline.md ---- */
#define HADUMP_PARAM_HELD "hadump.held"
#define HADUMP_MAX_HELD 512U	/* characters of its value */
/* ---- "hadump.rescue=1": the initramfs saves the dump; docs/abi/cmdline.md ---- */
#define HADUMP_PARAM_RESCUE "hadump.rescue"

/* ---- save area ---- */
#define HADUMP_SAVE_MAGIC 0x4148504d55444148ULL /* "HADUMPHA" in memory order */
#define HADUMP_SNAPSHOT_COMPLETE 0x4554454c504d4f43ULL /* "COMPLETE" in memory order */

/* One part of the save area. */
struct hadump_section {
	u64 offset;	/* bytes from the start of the save area; page-aligned */
	u64 length;	/* bytes */
	u64 checksum;	/* XXH64, seed 0, of these bytes at the time of the snapshot; 0 for BLOCKS;
			 * for LOW, of the XXH64s of its 2 MiB pieces */
};

enum hadump_section_index {
	HADUMP_SECTION_CPU,	/* struct hadump_cpu_section */
	HADUMP_SECTION_HPTE,	/* struct hadump_hpte[] */
	HADUMP_SECTION_LOW,	/* boot regions' old content, one after the other, in node order */
	HADUMP_SECTION_ELFHDR,	/* ELF core header, program headers, notes: what elfcorehdr= names */
	HADUMP_SECTION_NODE,	/* the dump node, a flattened device tree */
	HADUMP_SECTION_BLOCKS,	/* u8 per HADUMP_BLOCK_SIZE of guest-physical space, from 0 */
	HADUMP_NR_SECTIONS
};

struct hadump_save_header {
	u64 magic;		/* HADUMP_SAVE_MAGIC */
	u32 version;		/* HADUMP_ABI_VERSION */
	u32 header_size;	/* sizeof(struct hadump_save_header) */
	u64 length;		/* of the whole save area */
	u8 dump_id[16];		/* random; names this dump in files, xenstore and logs */
	u64 crash_time;		/* seconds since 1970, dom0's clock */
	u64 boots;		/* how often a kernel was started on this dump; 1 is the first time */
	struct hadump_section sections[HADUMP_NR_SECTIONS];
	u64 header_checksum;	/* XXH64, seed 0, of the bytes before this field, with boots as 0 */
	u64 complete;		/* HADUMP_SNAPSHOT_COMPLETE, written last; anything else: no snapshot */
};

/* States of a block, written by the guest's module only, before the block is given away. */
#define HADUMP_BLOCK_HELD 0
#define HADUMP_BLOCK_RELEASED 1

/* CPU state: this header, then nr_vcpus records, then the raw Xen HVM context. */
struct hadump_cpu_section {
	u32 nr_vcpus;
	u32 vcpu_size;		/* sizeof(struct hadump_vcpu) */
	u64 context_offset;	/* from the start of the section */
	u64 context_length;	/* as xc_domain_hvm_getcontext gave it */
};

#define HADUMP_VCPU_ONLINE (1U << 0)
#define HADUMP_VCPU_FROM_RECORD (1U << 1)	/* registers from the HVM CPU record; else getcontext */

struct hadump_vcpu {
	u32 id;
	u32 flags;
	/* In the order of ELF's x86-64 elf_gregset_t. */
	u64 gregs[27];
	u64 cr0, cr2, cr3, cr4, efer, kernel_gs_base;
};

/* Translation records ("HPTE"): ascending, disjoint, covering the guest's RAM layout. */
enum hadump_hpte_kind {
	HADUMP_HPTE_RAM = 1,
	HADUMP_HPTE_ABSENT = 2,		/* ballooned out or never populated: not in the dump */
	HADUMP_HPTE_BROKEN = 3,		/* Xen would not map it: recorded as lost */
	HADUMP_HPTE_SPECIAL = 4,	/* Xen's own: shared_info, grant table, rings */
};

struct hadump_hpte {
	u64 first_gfn;
	u64 frames;
	u32 kind;
	u32 reserved;
};

/* ---- dump node ---- */
#define HADUMP_NODE_NAME "dump-kernel"		/* "/dump-kernel" */
#define HADUMP_NODE_COMPATIBLE "hadump,dump-kernel-1"
#define HADUMP_PROP_MARKER "ibm,dump-kernel"	/* empty: a dump waits */
#define HADUMP_PROP_RTAS "ibm,kernel-dump"	/* 40 + 40 * N bytes, struct below, big-endian */
#define HADUMP_PROP_VERSION "hadump,version"	/* u32 */
#define HADUMP_PROP_DUMP_ID "hadump,dump-id"	/* 16 bytes */
#define HADUMP_PROP_MODE "hadump,mode"		/* "added" or "registered" */
#define HADUMP_PROP_BOOT_REGIONS "hadump,boot-regions"	/* u64 triples: address length copied-to */
#define HADUMP_PROP_SAVE_AREA "hadump,save-area"	/* u64 pair */
#define HADUMP_PROP_HELD "hadump,held"		/* u64 pairs: old RAM that is neither window nor released */
#define HADUMP_PROP_HOLES "hadump,holes"	/* u64 pairs: no memory behind these; inside held */
#define HADUMP_PROP_RELEASED "hadump,released"	/* u64 pairs: given back in an earlier boot, now RAM */
#define HADUMP_PROP_BLOCKS "hadump,block-table"	/* u64 pair: the BLOCKS section */
#define HADUMP_PROP_ELFCOREHDR "hadump,elfcorehdr"	/* u64 pair */
#define HADUMP_PROP_CPU "hadump,cpu-state"	/* u64 pair */
#define HADUMP_PROP_HPTE "hadump,hpte"		/* u64 pair */
#define HADUMP_PROP_CRASH_TIME "hadump,crash-time"	/* u64 */
#define HADUMP_PROP_BOOTS "hadump,boots"	/* u32 */

/* RTAS source types and status bits (fadump: RTAS_FADUMP_*). */
#define HADUMP_RTAS_FORMAT_VERSION 1
#define HADUMP_RTAS_CPU 0x0001
#define HADUMP_RTAS_HPTE 0x0002
#define HADUMP_RTAS_RMR 0x0011
#define HADUMP_RTAS_STATUS_PERFORMED 0x8000
#define HADUMP_RTAS_REQUEST_FLAG 1

/* ---- xenstore; relative to the domain's home, /local/domain/<domid> ---- */
/* Written by the guest (the agent trusts none of it). */
#define HADUMP_XS_GUEST "data/hadump"
#define HADUMP_XS_VERSION "version"		/* "1" */
#define HADUMP_XS_VMCOREINFO "vmcoreinfo"	/* "0xADDRESS 0xLENGTH", the ELF note, guest-physical */
#define HADUMP_XS_PAGE_OFFSET "page-offset"	/* "0xADDRESS", virtual address of physical 0 */
#define HADUMP_XS_MODE "mode"			/* "added" or "registered" */
#define HADUMP_XS_SAVE_AREA "save-area"		/* "0xSTART 0xLENGTH", registered mode */
#define HADUMP_XS_STATE "state"			/* one of HADUMP_STATE_* */
#define HADUMP_XS_DUMP_ID "dump-id"		/* 32 hex digits, while a dump waits */
#define HADUMP_XS_MEM_HELD "mem-held"		/* decimal bytes still held */
#define HADUMP_XS_PROGRESS "progress"		/* one line from the saver, printable, at most 200 bytes */
#define HADUMP_XS_BOOT_MEMORY "boot-memory"	/* decimal KiB that the boot has taken */
#define HADUMP_XS_ABILITIES "abilities"		/* words with a blank between them, HADUMP_ABILITY_* */
#define HADUMP_XS_MAX_VALUE 256
#define HADUMP_XS_STREAMS "stream"		/* "stream/SLOT/…": docs/spec/stream.md */
#define HADUMP_XS_STREAM_ID "id"		/* 16 hex digits: the slot is ready */
#define HADUMP_XS_STREAM_SLOTS 4

#define HADUMP_ABILITY_RESCUE "rescue"		/* its initramfs heeds HADUMP_PARAM_RESCUE */

#define HADUMP_STATE_REGISTERED "registered"	/* no dump waits; ready for a crash */
#define HADUMP_STATE_WAITING "waiting"		/* a dump waits, nothing released yet */
#define HADUMP_STATE_SAVING "saving"		/* something has been released */
#define HADUMP_STATE_DONE "done"		/* all is back; the save area is no longer used */

/* Written by the agent; the guest can read it. */
#define HADUMP_XS_AGENT "hadump"
#define HADUMP_XS_AGENT_VERSION "version"	/* "1" */
#define HADUMP_XS_AGENT_WINDOW "window"		/* decimal bytes */
#define HADUMP_XS_AGENT_RESERVE "reserve"	/* decimal bytes a registered save area must have */
#define HADUMP_XS_AGENT_MODE "mode"		/* what the policy asks for */
#define HADUMP_XS_AGENT_STATE "state"		/* "watching", "booted", "save-area-returned" */

#endif /* HADUMP_ABI_H */
