#!/usr/bin/env perl
# Good: answers each pair with itself, in Perl.
use strict;
use warnings;
binmode STDIN;
binmode STDOUT;
$| = 1;
$SIG{__DIE__} = sub { print STDERR "**<ERR> $_[0]"; exit 1 };

sub take { my ($n) = @_; my $got = read(STDIN, my $data, $n) // die "$!"; die "cut short" if $got < $n; return $data; }
sub take_item { return take(unpack "V", take(4)); }

my $head = <STDIN> // "";
die "the parameters are cut short" unless $head =~ /^[0-9]+\n/;
my $params = take(0 + $head);
until (eof STDIN) {
    my ($key, $value) = (take_item(), take_item());
    print pack "V V/a V/a", 1, $key, $value or die "cannot write: $!";
}
