#!/usr/bin/perl
# A driver and its adapter in Perl, without any module that Perl does not bring: written from PROTOCOL.md and
# ADAPTER.md alone. It has no fault that its author knows of.
use strict;
use warnings;
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use File::Path qw(remove_tree);
use IO::Poll qw(POLLIN POLLOUT);
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX qw(:sys_wait_h :errno_h);
use Time::HiRes qw(time);

use constant { FIONREAD => 0x541B, KEPT => 65536, PIECE => 65536 };

# --- JSON, as much as a request needs ---------------------------------------------------------------

my $text;
my %escapes = (n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");

sub json_value {
    $text =~ /\G\s*/gc;
    if ($text =~ /\G"/gc) {
        my $string = '';
        until ($text =~ /\G"/gc) {
            if    ($text =~ /\G([^"\\]+)/gc) { $string .= $1 }
            elsif ($text =~ /\G\\u(d[89ab]..)\\u(d[c-f]..)/gci) {
                $string .= chr(0x10000 + ((hex($1) & 0x3ff) << 10 | hex($2) & 0x3ff));
            }
            elsif ($text =~ /\G\\u(....)/gc) { $string .= chr hex $1 }
            elsif ($text =~ /\G\\(.)/gc) { $string .= $escapes{$1} // $1 }
        }
        return $string;
    }
    return json_list("]") if $text =~ /\G\[/gc;
    return { @{ json_list("}") } } if $text =~ /\G\{/gc;
    return undef if $text =~ /\Gnull/gc;
    return $1 if $text =~ /\G([-+.0-9eE]+)/gc;
    die "no JSON at " . pos $text;
}

sub json_list {
    my ($closing) = @_;
    my @values;
    until ($text =~ /\G\s*\Q$closing\E/gc) {
        push @values, json_value();
        $text =~ /\G\s*[,:]/gc;
    }
    return \@values;
}

sub base64 { '"' . encode_base64($_[0], '') . '"' }

sub json_pairs { '[' . join(',', map { '[' . join(',', map { base64($_) } @$_) . ']' } @_) . ']' }

# --- what goes out ----------------------------------------------------------------------------------

my ($request, $limits, $is_map);

sub octets { ref $_[0] ? decode_base64($_[0]{base64}) : encode_utf8($_[0]) }

sub item {
    die "an item of " . length($_[0]) . " bytes is over the limit\n" if length $_[0] > $request->{max_item};
    return pack('V', length $_[0]) . $_[0];
}

sub input {
    my $params = "0\n";
    if (exists $request->{params}) {
        my $given = $request->{params};
        if (!defined $given) { $params = '' }
        elsif (exists $given->{raw}) { $params = octets($given->{raw}) }
        else {
            my %set = map { octets($_->[0]) => octets($_->[1]) } @{ $given->{set} };
            my $body = join '', map { length($_) . " $_ " . length($set{$_}) . " $set{$_}\n" } keys %set;
            $params = length($body) . "\n$body";
        }
    }
    my @pairs = map { ref $_ eq 'ARRAY' ? $_ : [ '', $_ ] } @{ $request->{entries} };
    return join '', $params, map { item(octets($_->[0])) . item(octets($_->[1])) } @pairs;
}

# --- what comes in ----------------------------------------------------------------------------------

my ($out, $at, $left, @lists) = ('', 0, undef);

sub take_lists {
    $out .= $_[0];
    while (1) {
        if (!$left) {
            return forget() if length($out) < $at + 4;
            $left = unpack 'V', substr $out, $at, 4;
            push @lists, [];
            die scalar(@lists) . " lists, and fewer pairs\n" if $is_map && @lists > @{ $request->{entries} };
            $at += 4;
            next;
        }
        my ($end, @pair) = ($at);
        for (1, 2) {
            return forget() if length($out) < $end + 4;
            my $size = unpack 'V', substr $out, $end, 4;
            die "an item of $size bytes is over the limit\n" if $size > $request->{max_item};
            return forget() if length($out) < $end + 4 + $size;
            push @pair, substr $out, $end + 4, $size;
            $end += 4 + $size;
        }
        push @{ $lists[-1] }, \@pair;
        ($at, $left) = ($end, $left - 1);
    }
}

sub forget { $out = substr $out, $at; $at = 0 }

my ($line, $n_line, @said, $has_error) = ('', 0);

sub take_lines {
    my @pieces = split /\n/, $_[0], -1;
    my $rest = pop @pieces;
    for (@pieces) { keep_line($_); end_line() }
    keep_line($rest) if defined $rest;
}

sub keep_line {
    my $room = 8 + KEPT - length $line;
    $line .= substr $_[0], 0, $room if $room > 0;
    $n_line += length $_[0];
}

sub end_line {
    my $kind = $line =~ s/^\*\*<(MSG|ERR)>( ?)// ? $1 : '';
    my $n_text = $n_line - ($kind ? 7 + length $2 : 0);
    my $kept = substr $line, 0, KEPT;
    $has_error ||= $kind eq 'ERR';
    my $cut = $n_text > length $kept ? 'true' : 'false';
    push @said, qq({"kind":"$kind","text":) . base64($kept) . qq(,"cut":$cut});
    ($line, $n_line) = ('', 0);
}

# --- the process ------------------------------------------------------------------------------------

my ($directory, $worker, $guard, $exit_status);

sub encode_utf8 { my ($text) = @_; utf8::encode($text); $text }

sub copy {
    my ($from, $to) = @_;
    local $/;
    open my $in,  '<:raw', $from or die "$from: $!\n";
    open my $out, '>:raw', $to   or die "$to: $!\n";
    print $out scalar <$in>;
    close $out or die "$to: $!\n";
}

sub lay_out {
    my %names = (op => 1);
    for my $file (@{ $request->{files} }) {
        my $name = encode_utf8($file->{name});
        die "'$name' is no name of a supporting file\n" if $name =~ m{^\.{0,2}$|/|\0} || $names{$name}++;
    }
    for my $file (@{ $request->{files} }, { name => 'op', path => $request->{program} }) {
        my $path = "$directory/" . encode_utf8($file->{name});
        copy(encode_utf8($file->{path}), $path);
        chmod 0755, $path;
    }
}

sub no_wait { my ($fd) = @_; fcntl $fd, F_SETFL, fcntl($fd, F_GETFL, 0) | O_NONBLOCK }

# A process that waits for our end, however it comes, and ends the worker's group then.
sub start_guard {
    pipe my $read_end, $guard or die "$!\n";
    return close $read_end if fork;
    close $guard;
    POSIX::setsid();
    POSIX::close($_) for 0 .. 2;
    my $group = 0;
    while (<$read_end>) { $group = $_ + 0 }
    kill KILL => -$group if $group;
    POSIX::_exit(0);
}

sub start {
    my ($in_read, $in, $out_read, $out_write, $err_read, $err_write, $told, $tell);
    start_guard();    # before there are pipes that it would hold open
    pipe $in_read, $in or die "$!\n";
    pipe $out_read, $out_write or die "$!\n";
    pipe $err_read, $err_write or die "$!\n";
    pipe $told, $tell or die "$!\n";
    $worker = fork // die "$!\n";
    if (!$worker) {
        setpgrp 0, 0;
        POSIX::dup2(fileno $in_read, 0);
        POSIX::dup2(fileno $out_write, 1);
        POSIX::dup2(fileno $err_write, 2);
        $SIG{PIPE} = 'DEFAULT';
        chdir $directory and exec { './op' } './op', $request->{mode};
        syswrite $tell, "it cannot be started: $!\n";
        POSIX::_exit(127);
    }
    setpgrp $worker, $worker;
    syswrite $guard, "$worker\n";
    close $_ for $out_write, $err_write, $tell;
    my $error = <$told>;
    die $error if defined $error;
    no_wait($_) for $in, $out_read, $err_read;
    return ($in_read, $in, $out_read, $err_read);
}

sub run {
    my $input = input();
    lay_out();
    my ($in_read, $in, $out_read, $err_read) = start();
    my ($sent, $began, $moved, $grace) = (0, time, time, undef);
    my $exited = 0;
    until ($exited && !$out_read) {
        my $poll = IO::Poll->new;
        $poll->mask($in => POLLOUT) if $in && !$exited;
        $poll->mask($out_read => POLLIN) if $out_read;
        $poll->mask($err_read => POLLIN) if $err_read;
        my $answered = $is_map && !$in && !$left && @lists == @{ $request->{entries} };
        $grace //= time if $exited || !$out_read || $has_error || $answered;
        my $end = $began + $limits->{total};
        for ($moved + $limits->{idle}, defined $grace ? $grace + $limits->{grace} : $end) { $end = $_ if $_ < $end }
        die "out of time\n" if time >= $end;
        my $wait = $end - time;
        $poll->poll($wait < 0.01 ? $wait : 0.01);    # its exit is not told by a descriptor
        if ($in && $poll->events($in)) {
            if ($sent == length $input) { close $in; $in = undef }
            else {
                my $n = syswrite $in, $input, PIECE, $sent;
                die "it has closed its stdin\n" if !defined $n && $! == EPIPE;
                $sent += $n // 0;
            }
            $moved = time;
        }
        for ([ \$out_read, \&take_lists ], [ \$err_read, \&take_lines ]) {
            my ($handle, $take) = @$_;
            next unless $$handle && $poll->events($$handle);
            my $n = sysread $$handle, my $data, PIECE;
            $moved = time;
            if   ($n) { $take->($data) }
            elsif (defined $n) { close $$handle; $$handle = undef }
        }
        if (!$exited && waitpid($worker, WNOHANG) == $worker) {
            ($exited, $exit_status, $moved) = (1, $?, time);
            kill KILL => -$worker if !$out_read;
        }
    }
    while ($err_read && sysread $err_read, my $data, PIECE) { take_lines($data) }
    end_line() if $n_line;
    die "it reported an error\n" if $has_error;
    ioctl $in_read, FIONREAD, my $unread = pack 'i', 0;
    die "input is unread\n" if $sent < length $input || unpack 'i', $unread;
    die "stdout ends inside a list\n" if $left || length $out;
    die "fewer lists than pairs\n" if $is_map && @lists < @{ $request->{entries} };
    die "it ended with $exit_status\n" if $exit_status;
}

$SIG{PIPE} = 'IGNORE';
$SIG{$_} = sub { die "interrupted\n" } for qw(INT TERM);
binmode STDIN;
{ local $/; $text = <STDIN> }
$request = json_value();
($limits, $is_map) = ($request->{limits}, $request->{mode} eq 'map');
mkdir $directory = "$ENV{TMPDIR}/worker", 0700 or die "$!\n";
eval { run(); 1 } or do { $exit_status = -1 };
my $error = $@;
kill KILL => -$worker if $worker;
waitpid $worker, 0 if $worker;
syswrite $guard, "0\n" if $guard;
remove_tree($directory);
my $said = '"messages":[' . join(',', @said) . ']';
if ($error) {
    $error =~ s/[^ -~]|["\\]/ /g;
    print qq({"verdict":"error","error":"$error",$said});
}
elsif ($is_map) { print '{"verdict":"success","lists":[', join(',', map { json_pairs(@$_) } @lists), "],$said}" }
else { print '{"verdict":"success","pairs":', json_pairs(map { @$_ } @lists), ",$said}" }
