#!/usr/bin/env tclsh
# The reference contract (kvproto/conformance/CONTRACT.md) in Tcl 8.6.

foreach channel {stdin stdout} {chan configure $channel -translation binary -buffering full -buffersize 65536}
chan configure stderr -translation binary -buffering none

set PIECE 65536
set MAX_BYTES [expr {1 << 30}]

proc fault {text} {throw FAULT $text}

proc tell_driver {tag text} {
    puts stderr "**<$tag> [string map [list \n "\n**<$tag> "] $text]"
}

# Bytes of stdin; stdout is flushed when the ones that are there do not do, and the read may block.
proc take {size {data ""}} {
    while {[string length $data] < $size} {
        set wanted [expr {min($size - [string length $data], $::PIECE)}]
        if {[chan pending input stdin] < $wanted} {flush stdout}
        set piece [read stdin $wanted]
        if {$piece eq ""} {fault "truncated input: end of file where $size bytes were due"}
        append data $piece
    }
    return $data
}

proc item {{begun ""}} {
    binary scan [take 4 $begun] iu size
    if {$size > $::MAX_BYTES} {fault "an item of $size bytes is over the limit"}
    return [take $size]
}

# Runs a script for each pair, which is in `key` and `value`.
proc each_pair {script} {
    upvar 1 key key value value
    while 1 {
        if {[chan pending input stdin] == 0} {flush stdout}
        set first [read stdin 1]
        if {$first eq ""} return
        set key [item $first]
        set value [item]
        uplevel 1 $script
    }
}

proc write_list {args} {
    puts -nonewline stdout [binary format i [expr {[llength $args] / 2}]]
    foreach data $args {puts -nonewline stdout [binary format i [string length $data]]$data}
}

proc read_total {} {
    set digits ""
    while {[set byte [take 1]] ne "\n"} {
        append digits $byte
        if {![regexp {\A[0-9]{1,10}\Z} $digits]} break
    }
    if {![regexp {\A[0-9]{1,10}\Z} $digits]} {fault "parameters: the total is not 1 to 10 digits and a newline"}
    return [scan $digits %lld]
}

proc read_params {} {
    set total [read_total]
    if {$total > $::MAX_BYTES} {fault "parameters of $total bytes are over the limit"}
    set entries [take $total]
    set params {}
    set at 0
    while {$at < $total} {
        set halves {}
        foreach closing {" " "\n"} {
            if {![regexp {\A([0-9]{1,10}) } [string range $entries $at $at+10] head digits]} {
                fault "parameters: no size of 1 to 10 digits and a space"
            }
            incr at [string length $head]
            set end [expr {$at + [scan $digits %lld]}]
            if {$end >= $total || [string index $entries $end] ne $closing} {
                fault "parameters: an entry is not closed as it should be"
            }
            lappend halves [string range $entries $at $end-1]
            set at [expr {$end + 1}]
        }
        dict set params {*}$halves
    }
    return $params
}

proc needed {params name} {
    if {![dict exists $params $name]} {fault "the parameter $name is missing"}
    return [dict get $params $name]
}

proc number {params name} {
    set text [needed $params $name]
    if {![regexp {\A[0-9]{1,10}\Z} $text] || [scan $text %lld] > 4294967295} {
        fault "the parameter $name is not a number up to 4294967295"
    }
    return [scan $text %lld]
}

proc read_file {name} {
    if {$name in {"" . ..} || [regexp {[/\0]} $name]} {fault "not the plain name of a file: $name"}
    set file [open ./[encoding convertfrom utf-8 $name] rb]
    try {return [read $file]} finally {close $file}
}

proc run {mode} {
    set params [read_params]
    set what [expr {[dict exists $params do] ? [dict get $params do] : "echo"}]
    if {$what eq "hold" && $mode eq "map"} {set what echo}
    switch -exact -- $what {
        echo {each_pair {write_list $key $value}}
        fan {
            set n [number $params n]
            each_pair {
                set pair [binary format i [string length $key]]$key[binary format i [string length $value]]$value
                puts -nonewline stdout [binary format i $n]
                for {set i 0} {$i < $n} {incr i} {puts -nonewline stdout $pair}
            }
        }
        sink {each_pair {if {$mode eq "map"} write_list}}
        params {
            set listed [lsort -stride 2 $params]
            each_pair {if {$mode eq "map"} {write_list {*}$listed}}
            if {$mode eq "reduce"} {write_list {*}$listed}
        }
        say {
            set text [needed $params text]
            set index -1
            each_pair {
                tell_driver MSG "$text [incr index]"
                write_list $key $value
            }
        }
        err {
            set text [needed $params text]
            set at [number $params at]
            set index -1
            each_pair {
                if {[incr index] == $at} {fault $text}
                write_list $key $value
            }
        }
        file {
            set name [needed $params name]
            set contents [read_file $name]
            each_pair {write_list $name $contents}
        }
        hold {
            set held {}
            each_pair {lappend held $key $value}
            write_list {*}$held
        }
        default {fault "do=$what: not a thing that the contract knows"}
    }
}

try {
    set mode [lindex $argv end]
    if {$mode ni {map reduce}} {fault "the last argument is map or reduce, not '$mode'"}
    try {run $mode} finally {flush stdout}
    close stdout
} on error {text} {
    tell_driver ERR $text
    exit 1
}
